# What the site does first, such as loading modules and naming a proxy: a file of commands.
WORKER_SETUP=""
if [ -n "$WORKER_SETUP" ]; then . "$WORKER_SETUP"; fi

# The workers' Python environment. The first block makes it, once; all others only use it,
# so that a new block has workers within seconds. What functions carry need not be in it.
WORKER_ENV=""
if [ -n "$WORKER_ENV" ]; then
  mkdir -p "$(dirname "$WORKER_ENV")"
  (
    flock 9
    if [ ! -e "$WORKER_ENV/.complete" ]; then
      python3 -m venv "$WORKER_ENV"
      "$WORKER_ENV/bin/pip" install \
          --requirement "" \
          && touch "$WORKER_ENV/.complete"
    fi
  ) 9> "$WORKER_ENV.lock"
  . "$WORKER_ENV/bin/activate"
fi

# Without its environment a block has no workers, and ends. The next one tries
# again, once a minute.
if [ -n "$WORKER_ENV" ] && [ ! -e "$WORKER_ENV/.complete" ] \
    || ! command -v globus-compute-endpoint > /dev/null; then
  echo "No globus-compute-endpoint: see WORKER_SETUP, WORKER_ENV, WORKER_REQUIREMENTS." >&2
  sleep 60
  exit 1
fi
export JOBNAME=block-0.TIME
set -e
export CORES=$(getconf _NPROCESSORS_ONLN)
[[ "1" == "1" ]] && echo "Found cores : $CORES"
WORKERCOUNT=1
FAILONANY=0
PIDS=""

CMD() {
globus-compute-endpoint python-exec parsl.executors.high_throughput.process_worker_pool  --max_workers_per_node=2 -a 127.0.0.1 -p 0 -c 1.0 -m None --poll 10 --port=54321 --cert_dir CERTIFICATES --logdir=RUN_DIR/GlobusComputeEngine-HighThroughputExecutor --logconf=None --block_id=0 --hb_period=30  --hb_threshold=120 --drain_period=None --cpu-affinity none  --mpi-launcher=mpiexec --available-accelerators 0 1
}
for COUNT in $(seq 1 1 $WORKERCOUNT); do
    [[ "1" == "1" ]] && echo "Launching worker: $COUNT"
    CMD $COUNT &
    PIDS="$PIDS $!"
done

ALLFAILED=1
ANYFAILED=0
for PID in $PIDS ; do
    wait $PID
    if [ "$?" != "0" ]; then
        ANYFAILED=1
    else
        ALLFAILED=0
    fi
done

[[ "1" == "1" ]] && echo "All workers done"
if [ "$FAILONANY" == "1" ]; then
    exit $ANYFAILED
else
    exit $ALLFAILED
fi
