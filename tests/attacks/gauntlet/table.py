"""Public vulnerabilities of SSH implementations, and the test that tries each on nacre.

``python tests/attacks/gauntlet/table.py`` writes the table of docs/security.md from these rows.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "security.md"
BEGIN, END = "<!-- attacks -->\n", "<!-- end of attacks -->\n"


class Attack(NamedTuple):
    """A vulnerability, as it was found in another implementation.

    :ivar number: the year and the number of the CVE.
    :ivar maker: where it was found.
    :ivar attacked: what of nacre the test attacks: the server, the client, both, or the agent.
    :ivar does: what the attacker does, in one sentence.
    :ivar file: the test's file below ``tests``; ``function``: its name there.
    """

    number: str
    maker: str
    attacked: str
    does: str
    file: str
    function: str

    def row(self) -> str:
        """Return the row of the page's table."""
        link = f"[`{self.function}`](../tests/{self.file})"
        return f"| CVE-{self.number} | {self.maker} | {self.attacked} | {self.does} | {link} |\n"


def _read(rows: str) -> tuple[Attack, ...]:
    """Return the attacks of a text with three lines for each."""
    lines = rows.strip().split("\n")
    found = []
    for what, does, test in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        number, maker, attacked = what.split(" | ")
        file, function = test.split()
        found.append(Attack(number, maker, attacked, does.strip(), f"{file}.py", function))
    return tuple(found)


ATTACKS = _read("""
1999-1085 | SSH 1.2 | both
  Somebody on the path inserts text into an SSH-1 stream, with a CRC-32 that fits.
  attacks/test_ssh1 test_insertion_by_crc_compensation_is_refused
2001-0144 | SSH-1 of many makers | both
  A peer sends a packet of SSH-1 so large that the detector of that insertion overflows.
  attacks/gauntlet/test_transports test_the_largest_packet_of_ssh_1
2001-0361 | SSH-1 of many makers | server
  A client learns a session key from how the server answers wrong PKCS#1 padding.
  attacks/test_ssh1 test_wrong_padding_looks_like_right_padding
2002-0083 | OpenSSH | both
  A peer names a channel that does not exist, such as the one behind the last.
  attacks/test_channels test_numbers_of_channels_are_not_guessed
2002-0640 | OpenSSH | server
  A client gives more responses than there were prompts.
  attacks/test_authentication test_responses_are_as_many_as_prompts
2002-1357 | many (SSHredder) | both
  A peer sends fields whose length says more or less than is there.
  attacks/test_channels test_a_length_of_data_that_is_a_lie
2002-1358 | many (SSHredder) | both
  A peer proposes lists of algorithms with empty names.
  attacks/gauntlet/test_transports test_lists_with_empty_elements
2002-1359 | many (SSHredder) | both
  A peer proposes algorithms with names of 100,000 bytes.
  attacks/test_floods test_proposals_with_long_names
2002-1360 | many (SSHredder) | both
  A peer puts NUL into names, where C takes it for their end.
  attacks/test_channels test_names_that_are_none
2002-20001 | Diffie-Hellman of many makers (D(HE)at) | both
  A peer starts key exchanges without end, which cost it nothing.
  attacks/test_floods test_key_exchanges_without_end_before_authentication
2006-0225 | OpenSSH | client
  Somebody gives a file a name that a shell runs when scp copies it on one machine.
  cli/scp/test_program test_names_on_this_machine_are_no_commands
2006-4924 | OpenSSH | server
  A client sends a packet of SSH-1 of equal blocks, which keeps the detector busy.
  attacks/gauntlet/test_transports test_packets_of_equal_blocks
2008-1483 | OpenSSH | server
  A local user listens for a forwarded X11 display on one of its two addresses.
  attacks/gauntlet/test_sessions test_a_display_that_somebody_else_listens_for
2008-1657 | OpenSSH | server
  A user with a forced command has `~/.ssh/rc` run another one.
  daemon/accounts/test_work test_files_of_the_home_are_for_commands_and_shells_of_the_user
2008-5161 | OpenSSH, Tectia | both
  A peer has CBC used, of which somebody on the path can learn some plain text.
  attacks/test_key_exchange test_ciphers_that_were_not_named
2010-4755 | OpenSSH | server
  A user copies files by a pattern that takes exponential time.
  sftp/protocol/test_paths test_a_hostile_pattern_takes_no_exponential_time
2010-5107 | OpenSSH | server
  Clients occupy all places of those who have not logged in.
  server/test_listen test_only_so_many_may_wait_to_log_in
2011-1137 | ProFTPD | server
  A client that has not logged in announces a packet of 4 GiB.
  attacks/test_packets test_80_mib_before_the_first_key_exchange
2012-5975 | Tectia | server
  A client changes the password of root, and says that the old one is blank.
  attacks/gauntlet/test_logins test_a_change_of_a_blank_password
2014-2532 | OpenSSH | server
  A client sets variables whose names only contain what AcceptEnv allows.
  attacks/gauntlet/test_sessions test_variables_that_only_look_like_accepted_ones
2014-2653 | OpenSSH | client
  A server shows a certificate that does not count, so that the DNS is not asked.
  attacks/gauntlet/test_clients test_a_certificate_that_is_not_acceptable
2015-1782 | libssh2 | both
  A peer sends a KEXINIT whose lists are longer than the packet.
  attacks/gauntlet/test_transports test_lengths_in_proposals_that_are_lies
2015-3146 | libssh | both
  A peer sends NEWKEYS before there are keys.
  attacks/test_state_machine test_newkeys_before_there_are_keys
2015-5352 | OpenSSH | client
  A server opens X11 connections after ForwardX11Timeout is over.
  client/forwarding/test_x11 test_a_program_that_is_not_trusted_gets_a_cookie_made_for_it_and_a_time
2015-5600 | OpenSSH | server
  A client names a keyboard-interactive device 1000 times, to guess as often.
  attacks/test_authentication test_guessing_by_keyboard_interactive_is_bounded
2016-0739 | libssh | both
  Somebody on the path finds a Diffie-Hellman exponent, which is too short.
  attacks/gauntlet/test_transports test_exponents_are_long_enough
2016-0777 | OpenSSH | client
  A server has a client resume a connection, and send what is in its memory.
  attacks/gauntlet/test_clients test_a_server_that_resumes_connections
2016-1908 | OpenSSH | client
  An X server without the extension SECURITY has programs trusted that should not be.
  client/forwarding/test_x11 test_without_a_display_or_a_cookie_nothing_is_forwarded
2016-3115 | OpenSSH | server
  A user with a forced command puts lines for xauth into an X11 cookie.
  server/test_x11 test_what_would_not_be_a_word_for_xauth_is_refused
2016-3116 | Dropbear | server
  A user with a forced command puts lines for xauth into an X11 cookie.
  server/test_x11 test_what_would_not_be_a_word_for_xauth_is_refused
2016-5725 | JSch | client
  An SFTP server lists files whose names lead out of the folder of the copy.
  sftp/client/test_places test_names_that_lead_elsewhere_are_refused
2016-6210 | OpenSSH | server
  A client tells known from unknown users by the hash that a password costs.
  daemon/accounts/test_policy test_every_password_costs_one_hash
2016-6515 | OpenSSH | server
  A client sends a password of 90,000 bytes, which takes long to hash.
  attacks/gauntlet/test_logins test_passwords_beyond_any_use
2016-7406 | Dropbear | server
  A client logs in under a name that is a format.
  attacks/gauntlet/test_logins test_formats_in_the_names_of_users
2016-8858 | OpenSSH | both
  A peer sends KEXINIT again within an exchange.
  attacks/test_state_machine test_kexinit_twice
2016-10009 | OpenSSH | agent
  A host that an agent is forwarded to has it load a library from any folder.
  agent/test_security_keys test_libraries_that_are_not_allowed
2016-10010 | OpenSSH | server
  A user has the server make a Unix socket with the rights of root.
  daemon/processes/test_account_sockets test_files_and_connections_are_the_accounts
2016-10708 | OpenSSH | server
  A client sends NEWKEYS out of its turn.
  attacks/test_state_machine test_newkeys_before_there_are_keys
2017-15906 | OpenSSH | server
  A user makes files through an SFTP server that is read-only.
  sftp/server/test_service test_read_only
2018-7749 | AsyncSSH | server
  A client opens a channel and runs a command before it logs in.
  attacks/test_state_machine test_erlang_channels_before_authentication
2018-7750 | Paramiko | server
  A client opens a channel and runs a command before it logs in.
  attacks/test_state_machine test_erlang_channels_before_authentication
2018-10933 | libssh | server
  A client says itself that its login has succeeded.
  attacks/test_state_machine test_libssh_userauth_success_from_a_client
2018-15473 | OpenSSH | server
  A client breaks a request off, which is answered for known users alone.
  attacks/test_authentication test_broken_requests_tell_nothing
2018-15599 | Dropbear | server
  A client tells known from unknown users by how any request of theirs is answered.
  attacks/test_authentication test_users_are_not_enumerated
2018-20684 | WinSCP | client
  An scp server sends files that were not asked for.
  scp/test_protocol test_only_what_was_asked_for
2018-20685 | OpenSSH | client
  An scp server sends a file named `.`, or none, to change the folder of the copy.
  scp/test_protocol test_hostile_sources_get_nothing_in
2019-3855 | libssh2 | client
  A server announces a packet whose length overflows.
  attacks/test_packets test_80_mib_before_the_first_key_exchange
2019-3856 | libssh2 | client
  A server announces four billion prompts.
  attacks/test_floods test_prompts_without_end
2019-3857 | libssh2 | client
  A server sends an exit signal whose name has four billion bytes.
  attacks/gauntlet/test_transports test_ends_of_processes_that_are_cut_off
2019-3858 | libssh2 | client
  An SFTP server sends an empty packet.
  sftp/protocol/test_framing test_an_empty_packet_is_refused
2019-3861 | libssh2 | client
  A server sends a packet with more padding than packet.
  attacks/test_packets test_padding_that_leaves_no_payload
2019-3862 | libssh2 | client
  A server sends an exit status without the status.
  attacks/gauntlet/test_transports test_ends_of_processes_that_are_cut_off
2019-6109 | OpenSSH | client
  A server hides files of a copy by escape sequences in their names.
  cli/common/test_meter test_names_are_safe_to_print
2019-6110 | OpenSSH | client
  An scp server hides files by escape sequences in what it says.
  cli/scp/test_command test_what_a_server_says_can_not_paint_the_terminal
2019-6111 | OpenSSH | client
  An scp server overwrites other files in the folder of the copy.
  cli/scp/test_command test_a_hostile_server_writes_nothing_elsewhere
2019-13115 | libssh2 | client
  A server answers a group exchange with lengths that are wrong.
  attacks/gauntlet/test_transports test_lengths_in_group_exchange_that_are_lies
2019-17498 | libssh2 | both
  A peer disconnects, with a reason whose length is wrong.
  attacks/gauntlet/test_transports test_lengths_in_a_disconnect_that_are_lies
2020-9283 | Go | server
  A client shows an Ed25519 key that has not 32 bytes.
  attacks/gauntlet/test_logins test_ed25519_keys_of_any_size
2020-15778 | OpenSSH | server
  A user who may copy files alone puts a command into the target of scp.
  attacks/gauntlet/test_sessions test_commands_in_the_target_of_a_copy
2020-29652 | Go | server
  A client asks for GSSAPI, which the server is not prepared for.
  attacks/gauntlet/test_logins test_mechanisms_of_gssapi
2021-3634 | libssh | both
  A peer exchanges keys again, by a method with a longer hash.
  attacks/gauntlet/test_transports test_rekeys_with_hashes_of_other_sizes
2021-41617 | OpenSSH | server
  The program of AuthorizedKeysCommand uses the groups of the server.
  daemon/accounts/authorized/test_commands test_it_runs_as_its_account_without_input
2021-43565 | Go | server
  A client sends an encrypted packet without a payload.
  attacks/test_packets test_an_empty_payload_under_keys
2022-21716 | Twisted | both
  A peer sends an identification line that does not end.
  attacks/test_version_lines test_a_line_without_end_is_not_kept
2022-24302 | Paramiko | client
  A local user reads a new key file before its mode is set.
  attacks/gauntlet/test_keys test_a_new_key_file_is_nobody_elses_at_any_time
2022-45047 | Apache MINA | server
  Somebody puts a serialised object in the place of a key.
  attacks/gauntlet/test_keys test_objects_in_the_place_of_keys
2023-1667 | libssh | both
  A peer guesses in a key exchange after the first.
  attacks/gauntlet/test_transports test_guesses_in_a_rekey
2023-2283 | libssh | server
  A client has memory run out while its signature is verified.
  attacks/gauntlet/test_logins test_memory_that_runs_out_while_a_signature_is_verified
2023-6004 | libssh | client
  Somebody has a client connect to a host whose name is a command for ProxyCommand.
  cli/common/test_connect_jumps test_no_name_runs_anything
2023-28113 | russh | both
  A peer sends a Diffie-Hellman value that gives the secret away.
  attacks/test_key_exchange test_values_of_diffie_hellman
2023-35887 | Apache MINA | server
  An SFTP user looks for files outside of the root, by `..` and by links.
  attacks/test_confinement test_path_tricks
2023-38408 | OpenSSH | agent
  A host that an agent is forwarded to has it load a library of the system.
  agent/test_memory test_a_forwarded_agent_loads_no_library_by_default
2023-46445 | AsyncSSH | both
  Somebody on the path puts an EXT_INFO before NEWKEYS.
  attacks/test_state_machine test_rogue_extension_negotiation
2023-46446 | AsyncSSH | server
  Somebody on the path puts a login as another user before NEWKEYS.
  attacks/test_state_machine test_rogue_session
2023-48795 | many (Terrapin) | both
  Somebody on the path adds a packet before NEWKEYS and takes one away behind it.
  attacks/test_terrapin test_one_packet_in_and_ext_info_out
2023-51385 | OpenSSH | client
  Somebody has a client connect to a host or user whose name a shell acts on.
  config/test_destination test_no_host_has_a_character_that_shells_act_on
2024-2873 | wolfSSH | server
  A client opens a channel and runs a command before it logs in.
  attacks/test_state_machine test_erlang_channels_before_authentication
2024-6387 | OpenSSH (regreSSHion) | server
  A client does not log in until LoginGraceTime is over.
  server/test_listen test_who_does_not_log_in_in_time_is_sent_away
2024-31497 | PuTTY | client
  A server collects signatures by a P-521 key whose nonces are short.
  attacks/gauntlet/test_keys test_nonces_have_all_their_bits
2024-43410 | russh | server
  A client that has not logged in announces packets for which memory is taken.
  attacks/test_packets test_80_mib_before_the_first_key_exchange
2024-45337 | Go | server
  A client asks about another user's key, and logs in with its own.
  attacks/gauntlet/test_logins test_a_key_that_was_only_asked_about
2025-5318 | libssh | server
  An SFTP user names a handle that does not exist.
  sftp/protocol/test_client_and_server test_handles_of_the_wrong_kind_and_stale_ones
2025-14942 | wolfSSH | client
  A server says that a login has succeeded that has not begun.
  attacks/test_state_machine test_answers_to_authentication_that_did_not_begin
2025-22869 | Go | server
  A client starts a key exchange in a transfer, and never ends it.
  ssh2/test_engine test_no_data_goes_out_while_a_key_exchange_is_on
2025-26465 | OpenSSH | client
  A server has memory run out while its host key is looked up in the DNS.
  attacks/gauntlet/test_clients test_a_check_of_the_host_key_that_fails
2025-26466 | OpenSSH | both
  A peer sends pings during a key exchange that it never ends.
  attacks/test_floods test_replies_during_a_key_exchange_that_the_peer_never_ends
2025-30211 | Erlang | server
  A client that has not logged in proposes algorithms with long names, which the error repeats.
  attacks/test_floods test_proposals_with_long_names
2025-32433 | Erlang | server
  A client opens a channel and runs a command before it logs in.
  attacks/test_state_machine test_erlang_channels_before_authentication
2025-32728 | OpenSSH | server
  A user has X11 forwarded although DisableForwarding is set.
  daemon/accounts/test_rights test_displays_are_for_whom_words_and_key_allow_them
2025-46712 | Erlang | both
  Somebody on the path puts messages into the first key exchange.
  attacks/test_terrapin test_a_packet_between_kexinit_and_newkeys
2025-47913 | Go | client
  An agent answers a request for keys or a signature with SUCCESS.
  keys/agents/test_messages test_refusals_and_malformed_answers
2025-47914 | Go | agent
  A client adds a key, and breaks the message off.
  attacks/gauntlet/test_keys test_keys_for_an_agent_that_are_cut_off
2025-48038 | Erlang | server
  An SFTP user names handles of 200 KiB.
  attacks/gauntlet/test_sessions test_handles_that_are_longer_than_any
2025-48041 | Erlang | server
  An SFTP user opens directories without end.
  sftp/protocol/test_client_and_server test_open_handles_are_bounded_and_come_back
2025-54804 | russh | both
  A peer adjusts a window beyond 32 bits.
  attacks/test_channels test_a_window_beyond_32_bits
2025-58181 | Go | server
  A client announces four billion mechanisms of GSSAPI.
  attacks/gauntlet/test_logins test_mechanisms_of_gssapi
2025-61984 | OpenSSH | client
  Somebody has a client log in as a user whose name has control characters.
  config/test_destination test_no_user_is_an_option_or_has_what_shells_act_on
2025-61985 | OpenSSH | client
  Somebody has a client open an `ssh://` URI with a NUL in it.
  attacks/gauntlet/test_clients test_characters_that_a_uri_hides
2026-0968 | libssh | client
  An SFTP server breaks off the long name of a file in a listing.
  sftp/protocol/test_attributes test_a_usual_member_that_is_cut_off_is_malformed
2026-23942 | Erlang | server
  An SFTP user names a folder beside the root, whose name begins with that of the root.
  attacks/test_confinement test_path_tricks
2026-35385 | OpenSSH | client
  An scp server sends a file with the set-user-ID bit.
  cli/scp/test_legacy test_a_copy_gets_no_bit_that_gives_the_rights_of_its_owner
2026-35386 | OpenSSH | client
  Somebody has a client log in as a user whose name is a command for `Match exec`.
  config/client/test_reader test_no_name_runs_a_command_of_match_exec
2026-35387 | OpenSSH | server
  A client signs by an ECDSA algorithm of which only another one is allowed.
  attacks/gauntlet/test_logins test_curves_that_were_not_named
2026-35388 | OpenSSH | client
  A program uses a shared connection by its proxy mode, of which its user is not asked.
  client/sharing/test_master test_the_user_may_say_no_to_the_proxy_mode
2026-35414 | OpenSSH | server
  A client shows a certificate for a principal with a comma in its name.
  attacks/gauntlet/test_keys test_commas_in_principals
2026-39827 | Go | server
  A user opens channels without end, all of which are refused.
  attacks/test_floods test_opens_by_the_thousand_are_refused_one_by_one
2026-39828 | Go | server
  A user with a restricted key needs a second method, which forgets the restrictions.
  daemon/accounts/test_candidate test_keys_count_once_and_their_options_together
2026-39829 | Go | server
  A client shows an RSA or DSA key of 200,000 bits.
  attacks/gauntlet/test_logins test_keys_that_take_minutes_to_verify
2026-39830 | Go | both
  A peer answers global requests that nobody has made.
  attacks/test_channels test_replies_to_global_requests_that_were_never_made
2026-39831 | Go | server
  A client signs with a security key that nobody touches.
  attacks/gauntlet/test_logins test_a_security_key_that_nobody_touched
2026-39832 | Go | agent
  A key comes with a constraint that the agent does not know.
  keys/agents/test_requests test_a_constraint_that_is_not_known_refuses_the_key
2026-39833 | Go | agent
  A client uses a key that its owner wants to confirm each time.
  agent/test_memory test_confirmation
2026-42508 | Go | client
  A server shows a certificate by an authority that is revoked.
  client/trust/test_files test_a_revoked_certificate_is_refused
2026-44405 | Paramiko | server
  A client signs by RSA with SHA-1, openly or under the name of SHA-2.
  attacks/test_authentication test_algorithms_of_keys_are_not_confused
2026-46595 | Go | server
  A user shows a certificate for another address than the client's.
  keys/test_shown test_conditions_of_a_line_and_of_a_certificate
2026-46598 | Go | agent
  A client adds an Ed25519 key that is too short.
  attacks/gauntlet/test_keys test_keys_for_an_agent_that_are_cut_off
2026-46673 | russh | client
  An agent announces an answer of 4 GiB.
  keys/agents/test_messages test_a_length_out_of_bounds_is_refused_before_its_bytes_come
2026-48108 | russh | server
  A client that has not logged in sends lines before its identification line.
  attacks/test_version_lines test_a_client_sends_no_lines_before_its_own
2026-48855 | Erlang | server
  An SFTP user makes a link to the root, and reads where it leads.
  attacks/gauntlet/test_sessions test_links_tell_nothing_of_the_root
2026-54886 | Erlang | server
  An SFTP user sends data of the kind that is for errors.
  attacks/gauntlet/test_sessions test_extended_data_to_a_subsystem
2026-55199 | libssh2 | client
  A server announces four billion extensions.
  attacks/test_floods test_an_extension_count_that_is_a_lie
2026-55200 | libssh2 | client
  A server announces a packet that is longer than any buffer.
  attacks/test_packets test_80_mib_before_the_first_key_exchange
""")


def table() -> str:
    """Return the table of the page."""
    head = "| vulnerability | found in | attacked | what the attacker does | test |\n"
    return head + "|---|---|---|---|---|\n" + "".join(attack.row() for attack in ATTACKS)


def shown() -> str:
    """Return the page with the table of now in the place of the one that it has."""
    page = PAGE.read_text()
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}{table()}{END}", page)


if __name__ == "__main__":
    PAGE.write_text(shown())
