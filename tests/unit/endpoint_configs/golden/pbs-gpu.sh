#!/bin/bash

#PBS -S /bin/bash
#PBS -N block-0.TIME
#PBS -m n
#PBS -l walltime=12:00:00
#PBS -l select=2:ncpus=64:ngpus=4
#PBS -o RUN_DIR/scripts/block-0.TIME.stdout
#PBS -e RUN_DIR/scripts/block-0.TIME.stderr
#PBS -l filesystems=home

# What functions fill once per node, all workers of it share: on its own disk, for many jobs.
export GC_WARM_NODE_DIR="/tmp"
# PBS names a folder that only a block's first node has, with a path too long for sockets.
export TMPDIR="/tmp"

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

# Without its environment a block has no workers, and ends. When it is the first, the
# tasks that wait fail with this message, and no further job is submitted. A later one keeps
# its place for a while, so that at most four jobs an hour follow one another.
if [ -n "$WORKER_ENV" ] && [ ! -e "$WORKER_ENV/.complete" ] \
    || ! command -v globus-compute-endpoint > /dev/null; then
  echo "No globus-compute-endpoint: see WORKER_SETUP, WORKER_ENV, WORKER_REQUIREMENTS." >&2
  case "$PBS_JOBNAME" in
    *.block-0.*) ;;
    *) sleep 900 ;;
  esac
  exit 1
fi

export JOBNAME="block-0.TIME"

set -e
export CORES=$(getconf _NPROCESSORS_ONLN)
[[ "1" == "1" ]] && echo "Found cores : $CORES"
WORKERCOUNT=2
SCRIPT_DIR="RUN_DIR/scripts"
[[ -d $SCRIPT_DIR ]] || SCRIPT_DIR=""

# Deduplicate the nodefile
HOSTFILE="$JOBNAME.nodes"
if [ -z "$PBS_NODEFILE" ]; then
    echo "localhost" > $HOSTFILE
else
    sort -u $PBS_NODEFILE > $HOSTFILE
fi

cat << MPIEXEC_EOF > ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$JOBNAME.sh
globus-compute-endpoint python-exec parsl.executors.high_throughput.process_worker_pool  --max_workers_per_node=4 -a 127.0.0.1 -p 0 -c 1.0 -m None --poll 10 --port=54321 --cert_dir CERTIFICATES --logdir=RUN_DIR/GlobusComputeEngine-HighThroughputExecutor --logconf=None --block_id=0 --hb_period=30  --hb_threshold=120 --drain_period=None --cpu-affinity list:24-31,56-63:16-23,48-55:8-15,40-47:0-7,32-39  --mpi-launcher=mpiexec --available-accelerators 0 1 2 3
MPIEXEC_EOF
chmod u+x ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$JOBNAME.sh

mpiexec --cpu-bind none --ppn 1 --depth=64 -n $WORKERCOUNT --hostfile $HOSTFILE /usr/bin/sh ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$JOBNAME.sh

[[ "1" == "1" ]] && echo "All workers done"


