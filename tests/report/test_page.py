"""The page: its data, and the page itself in a headless Chromium where there is one."""

import gzip
import json
import re
import shutil
from collections import Counter

import pytest

from grpo_kit.errors import UserError
from grpo_kit.evaluate.files import Fields
from grpo_kit.evaluate.records import write_records
from grpo_kit.evaluate.score import rescore
from grpo_kit.observe.rollout_file import rollout_lines
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.report import write_report
from grpo_kit.report.chart import Table
from grpo_kit.report.panels import kind_of, run_panels
from grpo_kit.report.rollouts import read_rows
from grpo_kit.report.rows import run_rows, spread
from grpo_kit.report.suspicion import suspicions
from grpo_kit.scoring import VerifierSpec
from grpo_kit.train.batch import rollout_metrics
from grpo_kit.types import Turn
from tests.kit.episodes import episode_groups
from tests.kit.pages import index_of, unpack
from tests.kit.patience import wait_until
from tests.kit.report_runs import HOSTILE, HOSTILE_TEXTS, make_run

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--window-size=1500,1800")  # fmt: skip


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    page = write_report(make_run(tmp_path / "run")).read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]*"', page)
    assert "default-src 'none'" in page
    assert "script-src 'sha256-" in page
    assert HOSTILE not in page  # completions are packed: none of them can close a tag
    index = index_of(page)
    assert len(index["rows"]["step"]) == 160
    assert {p["section"] for p in index["panels"]} == {"Outcome", "Answers", "Policy", "Verifiers", "Time"}
    assert all(p["y_label"] and p["x_label"] for p in index["panels"])
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
    panels = {p.title: p for p in run_panels(rows, prompts_per_step=16)[0]}
    reward = panels["Training reward"].series[0]
    assert (reward.low[0], reward.high[0]) == pytest.approx((0.5 - 1.96 * 0.1, 0.5 + 1.96 * 0.1))
    assert [s.values for s in panels["Groups"].series] == [[0.25, 0.5], [0.25, None], [0.5, None]]
    assert "Entropy" not in panels


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
        wait_until(lambda: bool(self.run(script)), script, every=0.05)
        return self.run(script)

    def run(self, script):
        return self.browser.execute_script(script)

    def type(self, name, value):
        """Fill in a filter and wait until the list has followed."""
        self.run(f"""const e = document.getElementById('f-{name}'); e.value = {json.dumps(value)};
            window.before = document.getElementById('count'); before.textContent = 'waiting';
            e.dispatchEvent(new Event('input', {{bubbles: true}}))""")
        return self.wait("const t = document.getElementById('count').textContent; return /^[\\d,]+ of/.test(t) && t")

    def column(self, key):
        """The texts of one column of the rows in sight, from the top."""
        rows = (
            "[...document.querySelectorAll('.row')].sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))"
        )
        return self.run(f"return {rows}.map((r) => r.querySelector('[data-key={key}]').textContent)")

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
    page.type("search", "document.title='owned'")
    page.run("document.querySelector('.row').click()")
    page.wait("return document.querySelector('#detail').textContent.includes('</script>')")
    page.type("search", "")


def test_filters(page):
    assert page.type("step", "3-4") == "32 of 160"
    assert set(page.column("step")) == {"3", "4"}
    assert page.type("step", "") == "160 of 160"
    page.type("score", ">= 1")
    assert set(page.column("score")) <= {"1", "error"}
    page.type("score", "")
    page.type("advantage", "< 0")
    assert set(page.column("advantage")) == {"-1"}
    page.type("advantage", "")
    page.type("stop", "length")
    assert set(page.column("stop")) == {"length"}
    page.type("stop", "")
    assert page.type("search", "document.title='owned'") == "1 of 160"
    assert page.type("search", "") == "160 of 160"
    page.type("score", "nonsense")
    assert page.run("return document.getElementById('f-score').classList.contains('bad')")
    page.type("score", "")


def test_sorting(page):
    click = "document.querySelector('#head button[data-key=step]').click()"
    page.run(click)
    assert page.column("step") == sorted(page.column("step"), key=int)
    page.run(click)
    assert page.column("step")[0] == "10"
    assert page.text("#head [aria-sort=descending]") == "step"


def test_a_chosen_completion_shows_its_group_and_a_heat_map(page):
    page.type("search", "")
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


@pytest.fixture
def conversations(chromium, tmp_path):
    run = make_run(tmp_path / "run", steps=1, prompts=1, group=1)
    made = episode_groups((3,))
    # The first is hostile in every place where somebody writes.
    texts = [text[:2000].encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in HOSTILE_TEXTS]
    first = made[0].completions[0]
    first.turns = [Turn(0, texts[0], tuple({"role": text[:80], "content": text} for text in texts)), Turn(4, texts[0])]
    RunDirectory(run).log_rollouts(2, made, [[1.0, 0.0, -1.0]])
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"step": 1, **rollout_metrics(made, [[1.0, 0.0, -1.0]], Counter())}) + "\n")
    return Page(chromium, write_report(run))


def test_a_conversation_is_shown_turn_by_turn(conversations):
    page = conversations
    assert {"Turns of an episode", "Calls of tools", "Inserted tokens"} <= set(
        page.run("return [...document.querySelectorAll('#charts h3')].map((h) => h.textContent)")
    )
    assert page.type("search", "turn 2 of 0/1") == "1 of 4"
    page.run("document.querySelector('.row').click()")
    page.wait("return document.querySelectorAll('.said').length === 6")
    said = page.run("return [...document.querySelectorAll('.said')].map((s) => [s.className, s.textContent])")
    assert [kind.split()[1] for kind, _ in said] == ["inserted", *("sampled", "inserted") * 2, "sampled"]
    assert "question 0" in said[0][1]
    assert "reply 1" in said[4][1]
    assert "turn 3, sampled" in said[5][1]
    assert "ended: out of turns, after 3 turns, 6 calls" in page.text("#detail dl")
    colours = page.run("return [...document.querySelectorAll('.said')].map((s) => getComputedStyle(s).borderLeftColor)")
    assert len(set(colours)) == 2
    inserted = page.run("return document.querySelectorAll('.heat .inserted').length")
    sampled = page.run("return document.querySelectorAll('.heat span:not(.inserted)').length")
    episode = episode_groups((3,))[0].completions[1]
    assert (sampled, inserted) == (len(episode.token_ids), episode.inserted_length)
    assert page.errors() == []


def test_what_an_environment_says_is_no_markup(conversations):
    page = conversations
    assert page.type("search", "onerror") == "2 of 4"
    page.run("[...document.querySelectorAll('.row')].find((r) => r.textContent.includes('done')).click()")
    page.wait("return document.querySelectorAll('.said').length > 8")
    assert "owned" not in page.run("return document.title")
    assert page.run("return document.querySelectorAll('main img, main svg, main iframe, main a').length") == 0
    assert page.errors() == []


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


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_cut_or_overflows(chromium, page, tmp_path, width, theme):
    run = make_run(tmp_path / ("a-run-with-a-very-long-name-" + "0123456789" * 8))
    command = chromium.execute_cdp_cmd
    command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    command(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        page = Page(chromium, write_report(run))
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.run("return document.getElementById('title').getClientRects()[0].height") < 40
        button = page.run(
            "const r = document.getElementById('theme').getBoundingClientRect(); return [r.left, r.right]"
        )
        assert button[0] >= 0
        assert button[1] <= width
        legends = page.run(
            "return [...document.querySelectorAll('.u-legend .u-value')].filter((v) => v.offsetParent).map((v) => v.textContent)"
        )
        assert legends
        assert "--" not in legends
        assert page.errors() == []
    finally:
        command("Emulation.clearDeviceMetricsOverride", {})
        command("Emulation.setEmulatedMedia", {"features": []})


def test_hostile_text_stays_inert_wherever_it_stands(chromium, tmp_path):
    run = hostile_run(tmp_path / "<img src=x onerror=alert(1)> @INDEX@")
    page = Page(chromium, write_report(run))
    assert page.text("#count") == f"{len(HOSTILE_TEXTS)} of {len(HOSTILE_TEXTS)}"
    for _ in HOSTILE_TEXTS:
        page.run("document.getElementById('list').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown'}))")
    page.wait("return document.querySelectorAll('.card').length > 0")
    assert "owned" not in page.run("return document.title")
    assert page.run("return document.querySelectorAll('main img, main svg, main iframe, main a').length") == 0
    assert page.errors() == []


def test_numbers_that_json_lacks_do_not_empty_the_page(chromium, tmp_path):
    run = make_run(tmp_path / "run", steps=1, prompts=2, group=4)
    path = run / "rollouts" / "step-000001.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for row, odd in zip(rows, [float("nan"), float("inf"), float("-inf"), 1e308], strict=False):
        row["reward"] = row["advantage"] = row["logprobs"][0] = row["scores"]["math"]["value"] = odd
    rows[4]["logprobs"][0] = rows[4]["advantage"] = None
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('\n{"step": 2, "reward/mean": NaN, "entropy": -Infinity}\n{"step": "x"}\n{"loss": 1}\n')
    page = Page(chromium, write_report(run))
    assert page.text("#count") == "8 of 8"
    assert page.errors() == []


def hostile_run(folder):
    run = make_run(folder, steps=1, prompts=1, group=len(HOSTILE_TEXTS))
    path = run / "rollouts" / "step-000001.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for row, text in zip(rows, HOSTILE_TEXTS, strict=True):
        row |= {"prompt": text, "response": text, "answer": text, "finish": text[:80], "status": "ok"}
        row["scores"] = {f"math {text[:80]}": {"value": 1.0, "status": "ok", "extracted": text, "reason": text}}
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    metrics = {
        "step": 2,
        f"verifier/{HOSTILE}/count": 3,
        f"verifier/{HOSTILE}/abstain": 1,
        f"verifier/{HOSTILE}/own": 2,
    }
    (run / "metrics.jsonl").write_text(json.dumps(metrics | {"evaluation/judge": HOSTILE, "eval/sampled": 0.5}) + "\n")
    (run / "environment.json").write_text(
        json.dumps({"argv": ["x", "train", "quickstart/<b>addition", "k.api_key=sk-1"], "python": HOSTILE})
    )
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text() + f"note: {json.dumps(HOSTILE)}\napi_key: sk-secret\n"
    )
    return run


def test_the_head_names_the_recipe_and_masks_secrets(tmp_path):
    recipe = index_of(write_report(hostile_run(tmp_path / "run")).read_text())["head"]["recipe"]
    assert recipe["name"] == "quickstart/<b>addition"
    assert "sk-" not in recipe["text"] + recipe["command"]


def test_a_link_in_the_place_of_the_scratch_file_is_not_followed(tmp_path):
    run, victim = make_run(tmp_path / "run", steps=1), tmp_path / "victim"
    victim.write_text("mine")
    (run / "report.html.tmp").symlink_to(victim)
    (run / "report.html").symlink_to(victim)
    write_report(run)
    assert victim.read_text() == "mine"
    assert not (run / "report.html").is_symlink()


def test_what_unpacks_to_far_more_than_rollouts_do_is_refused(tmp_path):
    run = make_run(tmp_path / "run", steps=1)
    path = run / "rollouts" / "step-000001.jsonl.gz"
    line = json.dumps({"step": 1, "response": "a" * 2**20}).encode() + b"\n"
    path.write_bytes(gzip.compress(line * 64))
    with pytest.raises(UserError, match="unpacks to more than"):
        list(rollout_lines(path))
    path.write_bytes(gzip.compress(b"[" * 2**20))
    with pytest.raises(UserError, match="is not a rollout file"):
        write_report(run)


@pytest.mark.parametrize(
    ("algorithm", "logged", "titles"),
    [
        ("sft", {"loss": 1.0, "reward/mean": 1.0}, {"Loss", "Perplexity"}),
        (
            "dpo",
            {"loss": 0.7, "pairs/accuracy": 0.5, "pairs/margin": 0.1, "pairs/chosen_logprob": -3.0},
            {"Loss", "Pair accuracy", "Margin", "Log-probability of the responses"},
        ),
        ("reward_model", {"loss": 0.7, "pairs/accuracy": 0.5, "pairs/margin": 0.1}, {"Loss", "Pair accuracy", "Margin"}),
        ("kto", {"loss": 0.7, "kto/good_margin": 0.1, "kto/baseline": 0.0}, {"Loss", "Margins to the reference"}),
    ],
)  # fmt: skip
def test_a_family_has_its_own_charts_and_no_others(algorithm, logged, titles):
    shared = {
        "reward/mean": 0.5,
        "groups/all_right": 0.0,
        "groups/all_wrong": 0.0,
        "advantage/mean_abs": 0.0,
        "length/mean": 9.0,
    }
    rows = [{"step": i, **shared, **logged} for i in (1, 2)]
    panels, _ = run_panels(rows, 8, kind_of(algorithm, True, Table.of(rows)))
    assert {p.title for p in panels} == titles


def test_a_user_s_own_metrics_and_the_critic_have_charts_and_idle_ones_are_named():
    rows = [
        {"step": i, "verifier/a/b.py:c/count": 4, "verifier/a/b.py:c/abstain": 0, "verifier/a/b.py:c/used_words": i,
         "critic/loss": 1.0, "critic/explained_variance": 0.5, "trust_region/kl": 0.01, "clip/high": 0.0}
        for i in (1, 2)
    ]  # fmt: skip
    panels, idle = run_panels(rows, 8)
    titles = {p.title for p in panels}
    assert {"a/b.py:c: used words", "Critic loss", "Explained variance", "KL of the step"} <= titles
    assert idle == ["Clipped tokens", "a/b.py:c: without a score"]


def watch_of(tmp_path, lines):
    run = make_run(tmp_path / "run", steps=1)
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return index_of(write_report(run).read_text())["head"]["watch"]


def test_where_the_reward_judges_itself_nothing_is_reassuring(tmp_path):
    alike = {"judge/is_reward": 1.0, "evaluation/judge": "mine", "eval/sampled": 0.5, "eval/sampled_error": 0.02}
    watch = watch_of(tmp_path, [{"step": i, "reward/mean": 0.5, **alike} for i in range(3)])
    assert watch["title"] == "Cannot tell: the reward judges itself"


def test_suspicious_completions_come_first(tmp_path):
    rows, _ = run_rows(make_run(tmp_path / "run", steps=1, prompts=4, group=4), 100)
    for row in rows:
        row.status, row.right, row.reward = "ok", row.reward >= 1, min(row.reward, 0.4)
    hacked = rows[5]
    hacked.right, hacked.reward, hacked.advantage = False, 2.0, 1.5
    found = suspicions(rows)
    assert max(range(len(rows)), key=lambda i: found[i].weight) == 5
    assert "reward 2, judged wrong" in found[5].why


def test_one_page_for_several_checkpoints_with_their_flips(tmp_path):
    for name, outs in (("first", ["\\boxed{3}", "\\boxed{1}"]), ("second", ["\\boxed{1}", "\\boxed{4}"])):
        source = tmp_path / f"{name}.jsonl"
        source.write_text(
            "".join(json.dumps({"gold": g, "out": o, "id": g}) + "\n" for g, o in zip("34", outs, strict=True))
        )
        found = rescore(source, Fields("out", "gold", id="id"), VerifierSpec("math"), workers=0)
        (tmp_path / "evals" / name).mkdir(parents=True)
        write_records(tmp_path / "evals" / name / "samples.jsonl", found.records)
        found.result.write(tmp_path / "evals" / name)
    index = index_of(write_report(tmp_path / "evals").read_text())
    assert [table["title"].partition(" on ")[0] for table in index["tables"]] == [
        "Results",
        "Against the first",
        "Flips",
    ]
    assert [row[1] for row in index["tables"][2]["rows"]] == ["right → wrong", "wrong → right"]
    assert len(set(index["rows"]["checkpoint"])) == 2
    assert len(read_rows(tmp_path / "evals", None)) == 4
