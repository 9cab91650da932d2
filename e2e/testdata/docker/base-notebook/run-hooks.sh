# Today's rules: errexit is off while hooks run; *.sh are sourced, executables
# are run, what fails is named and the start goes on.
[ $# -eq 1 ] && [ -d "$1" ] || { echo "run-hooks: one folder, please" >&2; return 1; }
case $- in *e*) hooks_errexit=yes ;; *) hooks_errexit= ;; esac
set +e
for hook in "$1"/*; do
  [ -e "$hook" ] || continue
  if [[ $hook == *.sh ]]; then source "$hook"; hook_code=$?; set +e
  elif [ -x "$hook" ]; then echo "Running executable: $hook"; "$hook"; hook_code=$?
  else echo "Ignoring non-executable: $hook"; hook_code=0; fi
  [ "$hook_code" = 0 ] || echo "$hook has failed, continuing execution"
done
[ -z "$hooks_errexit" ] || set -e
unset hooks_errexit hook hook_code
