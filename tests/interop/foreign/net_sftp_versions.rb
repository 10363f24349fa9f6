# Ruby's net-sftp speaking one version of SFTP: PORT USER KEY VERSION OWNER (see README.md).
require 'net/ssh'
require 'net/sftp'

port, user, key, version, owner = ARGV

options = {
  port: port.to_i, keys: [key], keys_only: true, use_agent: false, config: false,
  verify_host_key: :never, non_interactive: true
}

def must(condition, what)
  raise what unless condition
end

Net::SSH.start('127.0.0.1', user, options) do |session|
  sftp = Net::SFTP::Session.new(session, version.to_i).connect!
  must(sftp.protocol.version == version.to_i, "version #{sftp.protocol.version}")
  sftp.mkdir!('d', permissions: 0o750)
  sftp.file.open('d/f', 'w') { |file| file.write("one\n") }
  sftp.file.open('d/f', 'a') { |file| file.write("two\n") } if version.to_i >= 5
  found = sftp.stat!('d/f')
  must(found.size == (version.to_i >= 5 ? 8 : 4), "size #{found.size}")
  must(found.file?, 'type') if version.to_i >= 4
  sftp.setstat!('d/f', permissions: 0o640, mtime: 1_000_000, atime: 2_000_000)
  found = sftp.stat!('d/f')
  must(found.mtime == 1_000_000 && found.atime == 2_000_000, 'times')
  must(found.permissions & 0o777 == 0o640, 'permissions')
  must(found.owner == owner, "owner #{found.owner}") if version.to_i >= 4
  sftp.rename!('d/f', 'd/g')
  names = sftp.dir.entries('d').map(&:name).sort
  must(names == %w[. .. g], names.inspect)
  sftp.symlink!('d/l', 'g') if version.to_i >= 6
  must(sftp.realpath!('d/../d/g').name.end_with?('/d/g'), 'realpath')
  sftp.close_channel
end
