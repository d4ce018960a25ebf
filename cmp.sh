cd /tmp/vt; export OMP_NUM_THREADS=1
/work/venvs/vllm/bin/grpo-kit train quickstart/addition verifiers='[{name: "/tmp/vt/v.py:check"}]' train.steps=5 threads=1 evaluation=null --run-dir /tmp/vt/qs_t > qs_t.log 2>&1
/work/venvs/vllm/bin/grpo-kit train quickstart/addition verifiers='[{name: "/tmp/vt/v.py:check"}]' train.steps=5 threads=1 evaluation=null rollout.engine=vllm --run-dir /tmp/vt/qs_v > qs_v.log 2>&1
