# The rules of 2023-10: the caller's errexit stays on, so a hook that ends with
# another code than 0 ends the container's start.
[ $# -eq 1 ] && [ -d "$1" ] || { echo "run-hooks: one folder, please" >&2; return 1; }
for hook in "$1"/*; do
  [ -e "$hook" ] || continue
  if [[ $hook == *.sh ]]; then source "$hook"
  elif [ -x "$hook" ]; then echo "Running executable: $hook"; "$hook"
  else echo "Ignoring non-executable: $hook"; fi
done
