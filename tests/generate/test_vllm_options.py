"""vLLM is told the same in our process and as a server, and says so on its command line."""

import pytest
import torch

from grpo_kit.generate.vllm_launch import server_arguments
from grpo_kit.generate.vllm_options import engine_options, flags
from tests.kit.vllm import rollout, vllm_policy


@pytest.fixture(params=["cpu", "cuda"])
def policy(request):
    policy = vllm_policy()
    policy.device = torch.device(request.param)
    return policy


def test_a_server_gets_every_option_of_the_engine(policy, tmp_path):
    settings = rollout(vllm={"max_sequences": 64, "memory_fraction": 0.4}, group_size=8)
    options = engine_options(policy, settings, 400)
    assert options["gpu_memory_utilization"] == 0.4
    arguments = server_arguments(policy, settings, 400, tmp_path, "127.0.0.1", 8000)
    assert " ".join(flags(options)) in " ".join(arguments)


def test_a_server_decodes_a_whole_group_side_by_side(policy, tmp_path):
    settings = rollout(vllm={"max_sequences": 8}, group_size=16)
    arguments = server_arguments(policy, settings, 400, tmp_path, "127.0.0.1", 8000)
    assert arguments[arguments.index("--max-num-seqs") + 1] == "16"


def test_flags_are_vllms():
    written = flags({"max_model_len": 400, "enforce_eager": True, "enable_chunked_prefill": False})
    assert written == ["--max-model-len", "400", "--enforce-eager", "--no-enable-chunked-prefill"]
    arg_utils = pytest.importorskip("vllm.engine.arg_utils")
    parser = pytest.importorskip("vllm.utils.argparse_utils").FlexibleArgumentParser()
    arg_utils.EngineArgs.add_cli_args(parser)
    read = parser.parse_args(flags(engine_options(vllm_policy(), rollout(), 400)))
    assert (read.max_model_len, read.enable_prefix_caching, read.dtype) == (400, True, "float32")
