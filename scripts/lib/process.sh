# shellcheck shell=bash
#
# The processes of the servers and the ports they listen on.
#
# A server NAME has its home in $state/NAME and its log in $state/NAME.log. Its pid is in the home,
# and its command line in $state/NAME.command.

# mariadbd lives in /usr/sbin, which is not on the PATH of every user.
search_path=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Sets the array `as`, the words to put before a command of a server. Both servers refuse to run as
# root, and neither should see the caller's settings (PGPORT, MYSQL_HOST, TZ and their like). A
# session of its own keeps the command out of reach of a Ctrl-C, which would stop a server under the
# feet of COMMAND, and cut down an installation but not all of its helpers.
become() { # USER
    as=(setsid)
    if ((EUID == 0)); then
        as+=(setpriv "--reuid=$1" "--regid=$1" --init-groups)
    fi
    as+=(env -i "PATH=$search_path" LC_ALL=C.UTF-8)
}

# The home of a server, writable only by the user that it runs as.
make_home() { # NAME USER
    mkdir -m 700 "$state/$1"
    if ((EUID == 0)); then
        chown "$2:" "$state/$1"
    fi
}

# ---- starting -------------------------------------------------------------------------------

# Starts a server and keeps its command line for `relaunch`.
launch() { # NAME COMMAND...
    remember "$@"
    : >"$state/$1.log"
    spawn "$@"
}

remember() { # NAME COMMAND...
    printf '%s\0' "${@:2}" >"$state/$1.command"
}

# COMMAND may take several programs to get to the server, sudo among them. So the last step before
# the server notes the pid.
spawn() { # NAME COMMAND...
    local name=$1
    shift
    rm -f "$state/$name/pid"
    (
        cd "$state/$name"
        # Not for a server: our own open files.
        exec "$@" 8>&- 9>&-
    ) </dev/null >>"$state/$name.log" 2>&1 &
    # Or bash reports on standard error how it ended.
    disown
    while child_runs $! && ! [[ -s $state/$name/pid ]]; do
        sleep 0.01
    done
}

# The words that note the pid, to be put before the program of a server.
# shellcheck disable=SC2016 # for the inner shell to expand
note_pid=(sh -c 'echo $$ >pid; exec "$@"' sh)

# Whether a child of this script still runs. Asked of the kernel, as bash may miss the end of a
# child that a signal ends together with a `wait` for it.
child_runs() { # PID
    is_child "$1" $$ && ! is_zombie "$1"
}

# Whether a process has ended but its parent was not told yet.
is_zombie() { # PID
    grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

is_child() { # PID PARENT
    grep -qsx "PPid:[[:space:]]*$2" "/proc/$1/status"
}

# Waits until the server answers to COMMAND. Fails if it ends first, if it takes more than a minute,
# or if we are told to stop.
wait_until_ready() { # NAME COMMAND...
    local pid deadline=$((SECONDS + 60))
    pid=$(pid_of "$1")
    shift
    while [[ -z $caught ]] && owns "$pid" && ((SECONDS < deadline)); do
        if "$@" >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.05
    done
    return 1
}

# Shows why a server did not start, unless it was told not to.
give_up() { # NAME
    if [[ -z $caught ]]; then
        say "$1 does not start; its log ends with:"
        tail -n 30 "$state/$1.log" >&2 || true
    fi
    exit 1
}

# ---- finding and ending ---------------------------------------------------------------------

# Nothing if the server was never started.
pid_of() { # NAME
    cat "$state/$1/pid" 2>/dev/null || true
}

# Whether a process is one of ours. A pid alone proves nothing, as the number may have been given
# to another process since; the servers and their children work in their homes. A process that has
# ended, reaped or not, works nowhere.
owns() { # PID
    [[ -n $1 && $(readlink "/proc/$1/cwd" 2>/dev/null) == "$state"/* ]]
}

# A process and everything that it started, itself first.
process_tree() { # PID
    local child
    echo "$1"
    # shellcheck disable=SC2013 # words are what is wanted: the files hold pids between spaces
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        process_tree "$child"
    done
}

stop_process() { # NAME SIGNAL
    local pid tree deadline=$((SECONDS + 15))
    pid=$(pid_of "$1")
    if ! owns "$pid"; then
        return 0
    fi
    if [[ $2 = KILL ]]; then
        kill_process "$pid"
        return 0
    fi
    mapfile -t tree < <(process_tree "$pid")
    kill -s "$2" "$pid" 2>/dev/null || true
    # A process that was stopped on purpose does not hear anything else.
    kill -s CONT "${tree[@]}" 2>/dev/null || true
    while owns "$pid"; do
        if ((SECONDS >= deadline)); then
            say "$1 does not stop, so it is killed"
            kill_process "$pid"
        fi
        sleep 0.05
    done
}

# Kills a server with its children: one that is stopped would not notice that its parent has gone,
# and keep the server's memory from being used again.
kill_process() { # PID
    local pid tree
    # Or it could start another child in the meantime.
    kill -s STOP "$1" 2>/dev/null || return 0
    mapfile -t tree < <(process_tree "$1")
    kill -s KILL "${tree[@]}" 2>/dev/null || true
    for pid in "${tree[@]}"; do
        while owns "$pid"; do
            sleep 0.01
        done
    done
}

# PostgreSQL takes even a process that has ended for a running server, as long as its number is not
# free again.
wait_until_reaped() { # PID
    while is_zombie "$1"; do
        sleep 0.01
    done
}

# ---- ports ----------------------------------------------------------------------------------

# Ports that nobody listens on. They lie below the range from which Linux takes the near ends of
# outgoing connections (32768 upwards), as the tests open hundreds of those. Another process may
# still be faster to bind one: then the server says so, and gets another.
free_ports() { # COUNT
    local port
    local -A ports=()
    while ((${#ports[@]} < $1)); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            ports[$port]=free
        fi
    done
    echo "${!ports[@]}"
}

lost_port() { # NAME
    grep -q 'Address already in use' "$state/$1.log"
}
