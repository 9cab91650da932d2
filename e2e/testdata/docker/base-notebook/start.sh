#!/bin/bash
# A stand-in for docker-stacks' start.sh, by the same rules: errexit is on, the
# hook folders run before the command, as root where the container started as
# root, and then the command as NB_USER with NB_UID and NB_GID. RUN_HOOKS
# chooses the rules of 2023-10 or of today.
set -e
hooks=/usr/local/bin/run-hooks${RUN_HOOKS:+-$RUN_HOOKS}.sh
unset_named() {
  for name in ${JUPYTER_ENV_VARS_TO_UNSET//,/ }; do unset "$name"; done
  unset JUPYTER_ENV_VARS_TO_UNSET
}
source "$hooks" /usr/local/bin/start-notebook.d
if [ "$(id -u)" != 0 ]; then
  source "$hooks" /usr/local/bin/before-notebook.d
  unset_named
  exec "$@"
fi
if [ "$NB_UID" != "$(id -u jovyan)" ] || [ "$NB_GID" != "$(id -g jovyan)" ]; then
  groupadd --force --gid "$NB_GID" --non-unique "$NB_USER"
  userdel jovyan
  useradd --no-log-init --home "/home/$NB_USER" --shell /bin/bash --uid "$NB_UID" --gid "$NB_GID" --groups 100 "$NB_USER"
fi
if [[ "$CHOWN_HOME" == 1 || "$CHOWN_HOME" == yes ]]; then chown $CHOWN_HOME_OPTS "$NB_UID:$NB_GID" "/home/$NB_USER"; fi
for dir in ${CHOWN_EXTRA//,/ }; do chown $CHOWN_EXTRA_OPTS "$NB_UID:$NB_GID" "$dir"; done
source "$hooks" /usr/local/bin/before-notebook.d
unset_named
exec sudo --preserve-env --set-home --user "$NB_USER" PATH="$PATH" "$@"
