"""``python -m grpo_kit.sandbox``: which backends work here, and what to enable."""

from . import probe

for found in probe():
    print(f"{'yes' if found.works else 'no ':3}  {found.backend:10}  {found.detail}")
    if found.fix:
        print(f"     {'':10}  way out: {found.fix}")
