#!/bin/bash

#SBATCH --job-name=block-0.TIME
#SBATCH --output=RUN_DIR/scripts/block-0.TIME.stdout
#SBATCH --error=RUN_DIR/scripts/block-0.TIME.stderr
#SBATCH --nodes=1
#SBATCH --time=720
#SBATCH --ntasks-per-node=1

#SBATCH --exclusive
#SBATCH --account=m0000_g
#SBATCH --qos=regular
#SBATCH --constraint=gpu
#SBATCH --gpus-per-node=2


# What functions fill once per node, all workers of it share: on its own disk, for many jobs.
export GC_WARM_NODE_DIR="/tmp"
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
# tasks that wait fail with this message, and no further job is submitted. A later one holds
# its job instead of making room for the next: when all is right, `scontrol release` it.
if [ -n "$WORKER_ENV" ] && [ ! -e "$WORKER_ENV/.complete" ] \
    || ! command -v globus-compute-endpoint > /dev/null; then
  echo "No globus-compute-endpoint: see WORKER_SETUP, WORKER_ENV, WORKER_REQUIREMENTS." >&2
  case "$SLURM_JOB_NAME" in
    *.block-0.*) ;;
    *) scontrol requeuehold "$SLURM_JOB_ID" && sleep 60 ;;
  esac
  exit 1
fi


export JOBNAME="block-0.TIME"

set -e
export CORES=$SLURM_CPUS_ON_NODE
export NODES=$SLURM_JOB_NUM_NODES

[[ "1" == "1" ]] && echo "Found cores : $CORES"
[[ "1" == "1" ]] && echo "Found nodes : $NODES"
WORKERCOUNT=1
SCRIPT_DIR="RUN_DIR/scripts"
[[ -d $SCRIPT_DIR ]] || SCRIPT_DIR=""

cat << SLURM_EOF > ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$SLURM_JOB_NAME.sh
globus-compute-endpoint python-exec parsl.executors.high_throughput.process_worker_pool  --max_workers_per_node=2 -a 127.0.0.1 -p 0 -c 1.0 -m None --poll 10 --port=54321 --cert_dir CERTIFICATES --logdir=RUN_DIR/GlobusComputeEngine-HighThroughputExecutor --logconf=None --block_id=0 --hb_period=30  --hb_threshold=120 --drain_period=None --cpu-affinity none  --mpi-launcher=mpiexec --available-accelerators 0 1
SLURM_EOF
chmod a+x ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$SLURM_JOB_NAME.sh

srun --ntasks 1 -l -c $SLURM_CPUS_ON_NODE --cpu-bind=none bash ${SCRIPT_DIR:+$SCRIPT_DIR/}cmd_$SLURM_JOB_NAME.sh

[[ "1" == "1" ]] && echo "Done"

