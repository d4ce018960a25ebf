from grpo_kit.cli.app import main

main()
