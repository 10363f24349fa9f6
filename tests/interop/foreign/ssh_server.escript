%% Erlang's ssh as a server: SYSTEM_DIR USER_DIR; prints "listening on PORT". It has no exit status of
%% commands to give but 0.
main([SystemDir, UserDir]) ->
    {ok, _} = application:ensure_all_started(ssh),
    {ok, Directory} = file:get_cwd(),
    Options = [
        {system_dir, SystemDir},
        {user_dir, UserDir},
        {auth_methods, "publickey"},
        {exec, {direct, fun(Command) -> {ok, os:cmd(Command)} end}},
        {subsystems, [ssh_sftpd:subsystem_spec([{cwd, Directory}])]}
    ],
    {ok, Daemon} = ssh:daemon({127, 0, 0, 1}, 0, Options),
    {ok, Information} = ssh:daemon_info(Daemon),
    io:format("listening on ~p~n", [proplists:get_value(port, Information)]),
    receive stop -> ok end.
