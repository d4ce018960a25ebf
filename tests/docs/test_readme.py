"""What the README shows is run as it stands there."""

import re
import shlex

from tests.kit.places import ROOT


def test_the_ten_lines_of_a_reward_and_their_commands(grpo_kit, tmp_path):
    section = (ROOT / "README.md").read_text().split("## Your own reward, in ten lines")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    (tmp_path / code.splitlines()[0].removeprefix("# ")).write_text(code)
    lines = [shlex.split(line, comments=True) for line in commands.splitlines()]
    assert {tuple(line[:3]) for line in lines} >= {("grpo-kit", "verifiers", "test"), ("grpo-kit", "verifiers", "new")}
    for line in lines:
        result = grpo_kit(*line[1:])
        assert result.returncode == 0, f"{shlex.join(line)}\n{result.stdout}{result.stderr}"
