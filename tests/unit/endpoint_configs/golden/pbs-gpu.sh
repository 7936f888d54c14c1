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
globus-compute-endpoint python-exec parsl.executors.high_throughput.process_worker_pool  --max_workers_per_node=4 -a 127.0.0.1 -p 0 -c 1.0 -m None --poll 10 --port=54321 --cert_dir CERTIFICATES --logdir=RUN_DIR/GlobusComputeEngine-HighThroughputExecutor --logconf=None --block_id=0 --hb_period=30  --hb_threshold=120 --drain_period=None --cpu-affinity block-reverse  --mpi-launcher=mpiexec --available-accelerators 0 1 2 3
MPIEXEC_EOF
chmod u+x ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$JOBNAME.sh

mpiexec --cpu-bind none --ppn 1 -n $WORKERCOUNT --hostfile $HOSTFILE /usr/bin/sh ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$JOBNAME.sh

[[ "1" == "1" ]] && echo "All workers done"


