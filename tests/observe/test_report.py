"""The page: its data, and the page itself in a headless Chromium where there is one."""

import base64
import gzip
import json
import re
import shutil
import time

import pytest

from grpo_kit.errors import UserError
from grpo_kit.evaluate.files import Fields
from grpo_kit.evaluate.records import write_records
from grpo_kit.evaluate.score import rescore
from grpo_kit.observe.report import write_report
from grpo_kit.observe.report.panels import run_panels
from grpo_kit.observe.report.rows import run_rows, spread
from grpo_kit.scoring import VerifierSpec
from tests.observe.report_runs import HOSTILE, make_run

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1500,1800")  # fmt: skip


def unpack(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def index_of(page):
    return unpack(re.search(r'id="index">([^<]*)<', page)[1])


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    page = write_report(make_run(tmp_path / "run")).read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', page)
    assert "default-src 'none'" in page
    assert HOSTILE not in page  # completions are packed: none of them can close a tag
    index = index_of(page)
    assert len(index["rows"]["step"]) == 160
    assert {p["section"] for p in index["panels"]} == {"Learning", "Lengths", "Policy", "Verifiers", "Time"}
    first = unpack(re.search(r'class="block">([^<]*)<', page)[1])[0]
    assert HOSTILE in first["response"]
    assert set(first["values"]) == {"logprob", "ratio"}


def test_panels_hold_what_was_logged():
    rows = [
        {
            "step": 1,
            "reward/mean": 0.5,
            "reward/group_mean_std": 0.4,
            "groups/all_right": 0.25,
            "groups/all_wrong": 0.25,
        },
        {
            "step": 2,
            "reward/mean": 0.7,
            "reward/group_mean_std": 0.4,
            "groups/all_right": 0.5,
            "groups/all_wrong": float("nan"),
        },
    ]
    panels = {p.title: p for p in run_panels(rows, prompts_per_step=16)}
    reward = panels["Reward and held-out accuracy"].series[0]
    assert (reward.low[0], reward.high[0]) == pytest.approx((0.5 - 1.96 * 0.1, 0.5 + 1.96 * 0.1))
    assert [s.values for s in panels["Groups"].series] == [[0.25, 0.5], [0.5, None], [0.25, None]]
    assert "Entropy" not in panels


def hacked(held_out, reward):
    rows = [
        {"step": i, "eval/sampled": h, "eval/sampled_error": 0.02, "reward/mean": r}
        for i, (h, r) in enumerate(zip(held_out, reward, strict=True))
    ]
    return next(p for p in run_panels(rows, 8) if p.title == "Reward-hacking watch")


def test_the_watch_warns_when_reward_rises_and_held_out_accuracy_falls():
    rising = [0.3 + 0.02 * i for i in range(30)]
    fall = [min(0.3 + 0.02 * i, 0.9 - 0.02 * i) for i in range(30)]
    assert hacked(fall, rising).warning
    assert not hacked(rising, rising).warning
    assert not hacked([0.5 + 0.001 * (i % 3) for i in range(30)], rising).warning


def test_steps_are_spread_with_both_ends(tmp_path):
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([1, 2], 5) == [1, 2]
    rows, total = run_rows(make_run(tmp_path / "run", steps=10, prompts=2, group=2), limit=20)
    assert (len(rows), total) == (20, 40)
    assert {rows[0].step, rows[-1].step} == {1, 10}


def test_what_is_not_a_run_and_what_is_damaged(tmp_path):
    with pytest.raises(UserError, match="neither a run"):
        write_report(tmp_path)
    run = make_run(tmp_path / "run")
    path = run / "rollouts" / "step-000010.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="is not a rollout file"):
        write_report(run)


def test_a_run_that_has_only_begun(tmp_path):
    run = make_run(tmp_path / "run")
    shutil.rmtree(run / "rollouts")
    (run / "metrics.jsonl").unlink()
    assert index_of(write_report(run).read_text())["panels"] == []


@pytest.fixture(scope="module")
def chromium():
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield browser
    browser.quit()


class Page:
    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())
        self.wait("return document.documentElement.dataset.ready")

    def wait(self, script):
        deadline = time.monotonic() + 30
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)
        return found

    def run(self, script):
        return self.browser.execute_script(script)

    def type(self, name, value):
        """Fill in a filter and wait until the list has followed."""
        self.run(f"""const e = document.getElementById('f-{name}'); e.value = {json.dumps(value)};
            window.before = document.getElementById('count'); before.textContent = 'waiting';
            e.dispatchEvent(new Event('input', {{bubbles: true}}))""")
        return self.wait("const t = document.getElementById('count').textContent; return /^[\\d,]+ of/.test(t) && t")

    def column(self, place):
        """The texts of one column of the rows in sight, from the top."""
        rows = (
            "[...document.querySelectorAll('.row')].sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))"
        )
        return self.run(f"return {rows}.map((r) => r.children[{place}].textContent)")

    def text(self, selector):
        return self.run(f"return document.querySelector({json.dumps(selector)}).textContent")

    def errors(self):
        return [line for line in self.browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    return Page(chromium, write_report(make_run(tmp_path_factory.mktemp("page") / "run", tokens=60)))


def test_charts_are_drawn(page):
    blank = """return [...document.querySelectorAll('canvas')].filter((c) => {
        const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const seen = new Set();
        for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3]) seen.add(pixels.slice(i, i + 3).join());
        return seen.size < 3; }).length"""
    assert page.run("return document.querySelectorAll('canvas').length") >= 12
    assert page.run(blank) == 0
    assert page.errors() == []


def test_no_text_of_a_model_becomes_markup(page):
    assert page.run("return document.title") == "run - grpo-kit"
    assert page.run("return document.querySelectorAll('main img').length") == 0
    assert "</script>" in page.text("#detail")


def test_filters(page):
    assert page.type("step", "3-4") == "32 of 160"
    assert set(page.column(0)) == {"3", "4"}
    assert page.type("step", "") == "160 of 160"
    page.type("score", ">= 1")
    assert set(page.column(4)) <= {"1", "error"}
    page.type("score", "")
    page.type("advantage", "< 0")
    assert set(page.column(5)) == {"-1"}
    page.type("advantage", "")
    page.type("stop", "length")
    assert set(page.column(7)) == {"length"}
    page.type("stop", "")
    assert page.type("search", "document.title='owned'") == "1 of 160"
    assert page.type("search", "") == "160 of 160"
    page.type("score", "nonsense")
    assert page.run("return document.getElementById('f-score').classList.contains('bad')")
    page.type("score", "")


def test_sorting(page):
    click = "document.querySelector('#head button[data-key=step]').click()"
    page.run(click)
    assert page.column(0) == sorted(page.column(0), key=int)
    page.run(click)
    assert page.column(0)[0] == "10"
    assert page.text("#head [aria-sort=descending]") == "step"


def test_a_chosen_completion_shows_its_group_and_a_heat_map(page):
    page.run("document.querySelectorAll('.row')[3].click()")
    page.wait("return document.querySelectorAll('.card').length === 4")
    page.wait("return document.querySelectorAll('.heat span').length === 60")
    for kind in ("logprob", "ratio", "advantage"):
        page.run(f"const s = document.getElementById('heat'); s.value = '{kind}'; s.onchange()")
        colors = page.run(
            "return new Set([...document.querySelectorAll('.heat span')].map((s) => s.style.background)).size"
        )
        assert colors == 1 if kind == "advantage" else colors > 20
    page.run("const s = document.getElementById('heat'); s.value = 'plain text'; s.onchange()")
    assert "\\boxed" in page.text(".heat")
    assert "extracted" in page.text("#detail dl")


def test_dark_and_light(page):
    background = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(background)
    page.run("document.getElementById('theme').click()")
    assert page.run(background) != before
    assert page.errors() == []


def test_ten_thousand_completions_open(chromium, tmp_path):
    run = make_run(tmp_path / "run", steps=40, prompts=32, group=8, tokens=12)
    page = Page(chromium, write_report(run))
    # 10,240 are there; whole steps are shown, at most 10,000 completions.
    assert page.text("#count") == "9,984 of 9,984"
    assert page.run("return document.querySelectorAll('.row').length") < 100
    assert page.type("search", "document.title='owned'") == "1 of 9,984"
    assert page.errors() == []


def test_the_page_of_an_evaluation(chromium, tmp_path):
    rows = [{"gold": "3", "out": ["\\boxed{3}", "\\boxed{4}"]}, {"gold": "4", "out": ["\\boxed{3}", HOSTILE]}]
    source = tmp_path / "o.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = rescore(source, Fields("out", "gold"), VerifierSpec("math"), workers=0)
    (tmp_path / "e").mkdir()
    write_records(tmp_path / "e" / "samples.jsonl", found.records)
    found.result.write(tmp_path / "e")
    page = Page(chromium, write_report(tmp_path / "e"))
    assert "25.00 ± 25.00" in page.text("#results")
    assert page.text("#count") == "4 of 4"
    assert page.run("return document.querySelectorAll('canvas').length") == 2
    assert page.errors() == []
