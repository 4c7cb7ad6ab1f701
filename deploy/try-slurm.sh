#!/bin/bash
# Real Slurm and OpenMPI on this machine: clips by an array of jobs, and a training of four processes that is sent away twice
# and requeued. Both must give what one process gives, to the bit. As root, on Debian:
#   apt-get install slurmctld slurmd slurm-client munge openmpi-bin && deploy/try-slurm.sh
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d /tmp/dwm-slurm.XXXXXX)
chmod 755 "$work"
mkdir -p "$work"/{munge,state,spool}
host=$(hostname -s)
pids=()
finish() {
  scancel --quiet --user root 2>/dev/null || true
  # Jobs end before the daemons that end them.
  for _ in $(seq 30); do squeue -h -o %i 2>/dev/null | grep -q . || break; sleep 1; done
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  echo "logs and results: $work"
}
trap finish EXIT

cat > "$work/slurm.conf" <<CONF
ClusterName=try
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=60
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$work/slurm.conf"
dd if=/dev/urandom of="$work/munge/key" bs=128 count=1 status=none
chmod 600 "$work/munge/key"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
  --log-file="$work/munge/log" --seed-file="$work/munge/seed" 2>"$work/munge/errors" & pids+=($!)
until [ -S "$work/munge/socket" ]; do sleep 0.2; done
slurmctld -D >"$work/slurmctld.log" 2>&1 & pids+=($!)
slurmd -D -N "$host" >"$work/slurmd.log" 2>&1 & pids+=($!)
until sinfo -h -o %T 2>/dev/null | grep -q idle; do sleep 0.5; done
sinfo

cd "$work"
export DWM="node $repository/apps/cli/bin/dwm.js" DWM_TUNE=off LP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# No GPUs here, and one core each.
here="--gpus-per-task=0 --cpus-per-task=1 --output=$work/job-%A-%a.log"
until_done() { while squeue -h -o %i | grep -q .; do sleep 1; done; }

$DWM synth --count 6 --out data --width 48 --height 32 --frames 5 --actions touch-nothing,pull-drawer --workers 2
small="--height 32 --width 48 --num-frames 5 --num-inference-steps 1 --data-root data --dataset-file dataset.txt"
$DWM generate $small --output-dir alone
sbatch $here --array=0-2 "$repository/deploy/slurm/generate.sbatch" $small --output-dir shared
until_done
$DWM status shared
for file in alone/*.mp4; do cmp "$file" "shared/$(basename "$file")"; done
echo 'generate: three jobs made what one process makes'

cat > experiment.yaml <<YAML
experiment: { name: one, output_dir: runs }
model: { base_model_name_or_path: $repository/models/dwm-tiny }
data: { data_root: data, dataset_file: data/dataset.txt, height_buckets: [32], width_buckets: [48] }
training:
  mode: lora
  gradient_accumulation_steps: 4
  max_train_steps: 20
  lora_rank: 4
  custom_settings: { max_num_frames: 5, load_tensors: false, checkpointing_steps: 2 }
YAML
$DWM train experiment.yaml
job=$(sbatch --parsable $here --ntasks=4 "$repository/deploy/slurm/train.sbatch" experiment.yaml \
  --override experiment.name=four)
for step in 4 10; do
  until [ -d "runs/four/checkpoint-$step" ]; do squeue -h -j "$job" -o %T | grep -q . || exit 1; sleep 0.5; done
  scancel --batch --signal=USR1 "$job"
  # Slurm would wait for two minutes.
  until squeue -h -j "$job" -o %T | grep -q PENDING; do sleep 0.5; done
  scontrol update JobId="$job" StartTime=now
done
until_done
cat "$work"/job-"$job"-*.log | grep -E 'going on|saved|process 0' || true
cmp runs/one/checkpoint-20/optimizer.safetensors runs/four/checkpoint-20/optimizer.safetensors
cmp runs/one/checkpoint-20/pytorch_lora_weights.safetensors runs/four/checkpoint-20/pytorch_lora_weights.safetensors
echo 'train: four processes, requeued twice, have the weights and moments of one, to the bit'
