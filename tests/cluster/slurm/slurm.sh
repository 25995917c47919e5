#!/usr/bin/env bash
# A Slurm of two nodes on this one machine, for tests: Debian's slurm-wlm and munge, as root, without
# systemd, cgroups, dbus or a network. Each node has four cores and one pretended GPU.
#
#   slurm.sh up DIR     start everything below DIR; DIR/env then holds the variables of its clients
#   slurm.sh down DIR   cancel all jobs, stop what "up" started, by process id
#   slurm.sh restart DIR   stop the controller and start it again; jobs go on
set -euo pipefail

action=$1
dir=$(mkdir -p "$2" && cd "$2" && pwd)
name=$(hostname -s)
port=${SLURM_TEST_PORT:-16817}

write_configuration() {
  mkdir -p "$dir"/{state,spool-n1,spool-n2,log,run}
  chmod 755 "$dir" "$dir/run" # munged refuses folders that others may write
  dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 status=none
  chmod 400 "$dir/munge.key"
  cat >"$dir/slurm.conf" <<END
ClusterName=tests
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/jobs.txt
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
MinJobAge=10
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostname=$name NodeAddr=127.0.0.1 Port=[$((port + 4))-$((port + 5))] CPUs=4 RealMemory=8000 Gres=gpu:1
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
  cat >"$dir/gres.conf" <<END
NodeName=n1 Name=gpu File=/dev/null
NodeName=n2 Name=gpu File=/dev/zero
END
  cat >"$dir/env" <<END
SLURM_CONF=$dir/slurm.conf
END
}

start_controller() {
  SLURM_CONF=$dir/slurm.conf slurmctld >>"$dir/log/start.log" 2>&1
}

up() {
  write_configuration
  export SLURM_CONF=$dir/slurm.conf
  munged --key-file="$dir/munge.key" --socket="$dir/run/munge.socket" --force \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
    --seed-file="$dir/run/munged.seed" >>"$dir/log/start.log" 2>&1
  start_controller
  for node in n1 n2; do
    slurmd -N "$node" >>"$dir/log/start.log" 2>&1
  done
  for _ in $(seq 60); do
    if [[ $(sinfo --noheader --format=%T 2>/dev/null | sort -u) == idle ]]; then
      return
    fi
    sleep 0.5
  done
  sinfo >&2 || true
  tail -n 20 "$dir"/log/*.log >&2
  down
  exit 1
}

stop() { # stop the process whose id is in a file, and wait until it is gone
  local pid
  [[ -r $1 ]] && pid=$(<"$1") || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
}

down() {
  export SLURM_CONF=$dir/slurm.conf
  timeout 20 scancel --user=root 2>/dev/null || true
  for _ in $(seq 60); do
    [[ -z $(timeout 5 squeue --noheader 2>/dev/null) ]] && break
    sleep 0.5
  done
  for pid_file in slurmd-n1 slurmd-n2 slurmctld munged; do
    stop "$dir/run/$pid_file.pid"
  done
}

case $action in
  up) up ;;
  down) down ;;
  restart)
    stop "$dir/run/slurmctld.pid"
    start_controller
    ;;
  *)
    echo "slurm.sh: $action; give up, down or restart" >&2
    exit 2
    ;;
esac
