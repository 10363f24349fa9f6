# Ruby's net-ssh and net-sftp as a client: PORT USER KEY LOCAL BACK (see README.md).
require 'net/ssh'
require 'net/sftp'

port, user, key, local, back = ARGV

options = {
  port: port.to_i, keys: [key], keys_only: true, use_agent: false, config: false,
  verify_host_key: :never, rekey_limit: 1 << 20, non_interactive: true
}

def run(session)
  out = +''
  problems = +''
  status = nil
  session.open_channel do |channel|
    channel.exec('echo out; echo err >&2; exit 7') do |_, granted|
      raise 'exec was refused' unless granted

      channel.on_data { |_, data| out << data }
      channel.on_extended_data { |_, _, data| problems << data }
      channel.on_request('exit-status') { |_, data| status = data.read_long }
    end
  end.wait
  raise [out, problems, status].inspect unless [out, problems, status] == ["out\n", "err\n", 7]
end

Net::SSH.start('127.0.0.1', user, options) do |session|
  run(session)
  session.sftp.connect do |sftp|
    sftp.mkdir!('there')
    sftp.mkdir!('there/many')
    sftp.upload!(File.join(local, 'many'), 'there/many')
    sftp.upload!(File.join(local, 'large'), 'there/large')
    # It speaks version 6 of SFTP, where it has no doubt which of the two is the link.
    sftp.symlink!('there/link', 'large')
    target = sftp.readlink!('there/link').name
    raise target unless target == 'large'

    sftp.download!('there/many', File.join(back, 'many'), recursive: true)
    sftp.download!('there/large', File.join(back, 'large'))
  end
end
