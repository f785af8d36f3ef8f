# shellcheck shell=bash
#
# The kind `postgres-small`: a server with a tablespace that is soon full, in which case PostgreSQL
# refuses the change and lives on.
#
# The tablespace `small` lies on a file system of 4 MB in memory. It is mounted where only the
# server sees it, and goes when the server ends, however a run ends. So the server cannot be launched
# again: what it would have to restore is gone.

packages[postgres-small]=postgresql
service[postgres-small]=postgresql

have_postgres_small() {
    have_postgres
}

start_postgres_small() {
    local home=$state/postgres-small mount=() owner=postgres back=()
    become postgres
    make_home postgres-small postgres
    if ((EUID != 0)); then
        mount=(sudo -n)
        owner=$(id -un)
        back=(setpriv "--reuid=$owner" "--regid=$(id -g)" --init-groups)
    fi
    mount+=(unshare --mount)
    if ! "${mount[@]}" true 2>"$state/postgres-small.log"; then
        die "postgres-small has to mount a file system, for which it takes root, or sudo without" \
            "a password, where that may use unshare: $(<"$state/postgres-small.log")"
    fi
    initialize_postgres postgres-small
    "${as[@]}" mkdir "$home/small"
    launch_postgres postgres-small "${mount[@]}" sh -c "$mount_and_start" sh \
        "size=4m,mode=700,uid=$(id -u "$owner")" "$home/small" "${back[@]}"
    rm "$state/postgres-small.command"
    postgres_sql postgres-small "CREATE TABLESPACE small LOCATION '$home/small'" ||
        give_up postgres-small
    exports+=("GUESTHOUSE_TEST_SMALL=$(postgres_url)")
    say "postgres-small is ready on port $port"
}

# In the background, so that sudo ends: it would stop for good together with a server that is stopped.
# shellcheck disable=SC2016 # for the shell behind sudo to expand
mount_and_start='
    mount -t tmpfs -o "$1" tmpfs "$2" || exit
    shift 2
    "$@" &
    while kill -0 $! 2>/dev/null && ! [ -s pid ]; do sleep 0.01; done
'

stop_postgres_small() {
    stop_postgres_server postgres-small
}
