"""Weights on their way to servers. NCCL itself needs GPUs; everything around it is run here, against vLLM's own interface."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.generate.transfer import FolderTransfer, NcclTransfer, open_transfer
from grpo_kit.generate.vllm_http import ServerLost, VllmServer
from tests.kit.vllm import needs_vllm, vllm_policy

INNER = "/start_weight_update", "/update_weights", "/finish_weight_update"


@pytest.fixture
def server():
    """Answers as a vLLM server does, and remembers what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            listener.asked.append((self.path, self.rfile.read(length).decode()))
            body = listener.answers.get(self.path, "{}").encode()
            self.send_response(listener.codes.get(self.path, 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.asked, listener.codes = [], {}
        listener.answers = {"/get_world_size": '{"world_size": 2}', "/reset_prefix_cache": '{"success": true}'}
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        listener.server = VllmServer(f"http://127.0.0.1:{listener.server_port}", 5)
        yield listener
        listener.shutdown()


@pytest.fixture
def groups(monkeypatch):
    """vLLM's factory of trainer engines, whose NCCL engine is replaced by one that needs no GPU."""
    needs_vllm()
    from vllm.distributed.weight_transfer import WeightTransferTrainerFactory

    opened = []

    class Line:
        @classmethod
        def trainer_init(cls, init_info, *, client, source):
            line = cls()
            line.info, line.client, line.source, line.sent = init_info, client, source, []
            client.init_weight_transfer_engine({"rank_offset": 1, "world_size": init_info.world_size})
            opened.append(line)
            return line

        def send_weights(self):
            self.client.start_weight_update()
            self.client.update_weights({"names": [m.name for m in self.source.metadata()]})
            self.sent.append({name: tensor.clone() for name, tensor in self.source})
            self.client.finish_weight_update()

    monkeypatch.setitem(WeightTransferTrainerFactory._registry, "nccl", lambda: Line)
    return opened


def nccl(tmp_path, fallback=True, said=None):
    folder = FolderTransfer(tmp_path, torch.float32) if fallback else None
    return NcclTransfer(torch.device("cpu"), torch.bfloat16, folder, (said if said is not None else []).append)


def test_vllms_own_engine_sends_every_weight_in_the_engines_precision(server, groups, tmp_path):
    policy, transfer = vllm_policy(), nccl(tmp_path)
    transfer.prepare(policy.model, 7)
    transfer.give(server.server)
    paths = [path for path, _ in server.asked]
    opening = ["/get_world_size", "/shutdown_weight_transfer_engine", "/init_weight_transfer_engine"]
    around = ["/reset_prefix_cache", "/update_weight_version", "/resume"]
    assert [p for p in paths if p != "/"] == [*opening, "/pause?mode=abort", *INNER, *around]
    assert '"7"' in dict(server.asked)["/update_weight_version"]
    (line,) = groups
    assert (line.info.world_size, line.info.rank, line.info.master_address) == (3, 0, "127.0.0.1")
    (sent,) = line.sent
    assert {t.dtype for t in sent.values()} == {torch.bfloat16}
    assert torch.equal(sent["lm_head.weight"], policy.model.lm_head.weight.bfloat16())
    assert [m.name for m in line.source.metadata()] == list(sent)


def test_one_group_for_all_updates_and_a_new_one_after_a_loss(server, groups, tmp_path):
    policy, transfer = vllm_policy(), nccl(tmp_path)
    for version in (0, 1):
        transfer.prepare(policy.model, version)
        transfer.give(server.server)
    assert [len(line.sent) for line in groups] == [2]
    server.server.lost("killed")
    transfer.prepare(policy.model, 2)
    transfer.give(server.server)
    assert [len(line.sent) for line in groups] == [2, 1]


def test_a_failed_broadcast_loses_the_server_and_its_group(server, groups, tmp_path):
    policy, transfer = vllm_policy(), nccl(tmp_path)
    transfer.prepare(policy.model, 0)
    transfer.give(server.server)
    server.codes["/update_weights"] = 500
    with pytest.raises(ServerLost, match="/update_weights failed with 500"):
        transfer.give(server.server)
    del server.codes["/update_weights"]
    transfer.give(server.server)
    assert [len(line.sent) for line in groups] == [1, 1]


def test_without_a_group_the_folder_is_used_and_it_is_said(server, groups, tmp_path):
    """A server that was started without --weight-transfer-config."""
    server.codes["/init_weight_transfer_engine"] = 500
    said = []
    policy, transfer = vllm_policy(), nccl(tmp_path, said=said)
    for version in (0, 1):
        transfer.prepare(policy.model, version)
        transfer.give(server.server)
        transfer.forget_older()
    assert len(said) == 1
    assert "weights go through" in said[0]
    assert [p.name for p in tmp_path.iterdir()] == ["weights-1"]
    assert [body for path, body in server.asked if path == "/collective_rpc"][-1].count("weights-1")
    transfer.close()
    assert list(tmp_path.iterdir()) == []


def test_nccl_alone_does_not_fall_back(server, groups, tmp_path):
    server.codes["/init_weight_transfer_engine"] = 500
    transfer = nccl(tmp_path, fallback=False)
    transfer.prepare(vllm_policy().model, 0)
    with pytest.raises(ServerLost, match="init_weight_transfer_engine failed"):
        transfer.give(server.server)


def test_nccl_needs_a_cuda_device(tmp_path):
    policy = vllm_policy()
    if policy.device.type == "cuda":
        pytest.skip("there is one")
    assert isinstance(open_transfer(policy, "auto", tmp_path, print), FolderTransfer)
    with pytest.raises(UserError, match=r"transfer nccl: .*CUDA devices; use transfer: folder"):
        open_transfer(policy, "nccl", tmp_path, print)
