# shellcheck shell=bash
#
# The kind `postgres-tls`: a server that lets nobody in without TLS, with a certificate for 127.0.0.1
# from an authority of its own.

packages[postgres-tls]="postgresql openssl"
service[postgres-tls]=postgresql

have_postgres_tls() {
    have_postgres && type -P openssl >/dev/null
}

start_postgres_tls() {
    local data=$state/postgres-tls/data
    become postgres
    make_home postgres-tls postgres
    initialize_postgres postgres-tls
    (cd "$state/postgres-tls" && "${as[@]}" sh -ec "$make_certificates") \
        >>"$state/postgres-tls.log" 2>&1 || give_up postgres-tls
    launch_postgres postgres-tls
    cp "$data/authority.crt" "$state/authority.crt"
    chmod 644 "$state/authority.crt"
    exports+=(
        "GUESTHOUSE_TEST_TLS=$(postgres_url)"
        "GUESTHOUSE_TEST_TLS_AUTHORITY=$state/authority.crt"
    )
    say "postgres-tls is ready on port $port"
}

# Connections through the socket, by which the start is watched, are not over the network.
make_certificates='
    cd data
    new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    openssl req -x509 $new_key -subj /CN=authority -keyout authority.key -out authority.crt
    openssl req -x509 $new_key -subj /CN=127.0.0.1 -CA authority.crt -CAkey authority.key \
        -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
        -keyout server.key -out server.crt
    printf "%s\n" "local all all trust" "hostssl all all 127.0.0.1/32 trust" >pg_hba.conf
    echo "ssl = on" >>postgresql.conf
'

stop_postgres_tls() {
    stop_postgres_server postgres-tls
}
