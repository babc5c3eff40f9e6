#!/bin/sh
# Runs the models. Needs spin and gcc (Debian: apt-get install spin gcc). A run takes two minutes and 6 GB at most.
#   sh docs/model/check.sh                                all runs of runs.txt, each against its expected result
#   sh docs/model/check.sh wait                           those of one model
#   sh docs/model/check.sh scopes safety "-DCTRL=1"       one run
#   sh docs/model/check.sh below trace "-DWAY=1"          the shortest way to the first error, step by step
# Kinds: safety (assertions, deadlocks, how every run ends), end (also: no run goes on for ever), trace.
here=$(cd "$(dirname "$0")" && pwd)
limit=110

run() { # model kind switches: prints what the verifier said
  dir=$(mktemp -d) && cd "$dir" || exit 1
  options="-O2 -w -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=6000"
  # The switches are words.
  # shellcheck disable=SC2086
  spin -a $3 "$here/$1.pml" >spin.out 2>&1 || cat spin.out
  case $2 in
    end) gcc $options -DNP -DNOFAIR -o pan pan.c && timeout -s INT $limit ./pan -l -m400000 >out 2>&1 ;;
    trace) gcc $options -DSAFETY -DBFS -o pan pan.c && timeout -s INT $limit ./pan >out 2>&1
      cp "$here/$1.pml" . && spin -t -p $3 "$1.pml" 2>&1 | grep -E 'proc +[0-9]+ \(' | sed 's/ *[0-9]*:.*proc */  /' ;;
    *) gcc $options -DSAFETY -o pan pan.c && timeout -s INT $limit ./pan -m400000 >out 2>&1 ;;
  esac
  grep -E 'errors:|states, stored|pan:|aborted' out
  cd "$here" && rm -rf "$dir"
}

if [ "$#" -ge 2 ]; then
  run "$1" "$2" "${3:-}"
  exit
fi

bad=0
while read -r model kind expected rule switches; do
  case $model in ''|'#'*) continue ;; esac
  [ -z "${1:-}" ] || [ "$1" = "$model" ] || continue
  [ "$switches" = - ] && switches=
  said=$(run "$model" "$kind" "$switches")
  case $said in
    *aborted*|*interrupted*|*'max search depth'*|'') result=unfinished ;;
    *'errors: 0'*) result=good ;;
    *) result=error ;;
  esac
  states=$(printf '%s\n' "$said" | sed -nE 's/^ *([0-9]+) states, stored.*/\1/p')
  [ "$result" = "$expected" ] && verdict=ok || { verdict="BAD: wanted $expected"; bad=1; }
  printf '%-7s %-7s %-6s %-9s %10s  %s  %s\n' "$model" "$kind" "$result" "$rule" "${states:-?}" "$verdict" "$switches"
done <"$here/runs.txt"
exit $bad
