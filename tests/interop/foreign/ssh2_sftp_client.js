// npm's ssh2-sftp-client: PORT USER KEY LOCAL BACK (see README.md). It has no commands and no links.
'use strict';
const fs = require('fs');
const path = require('path');
const Client = require('ssh2-sftp-client');

const [port, username, key, local, back] = process.argv.slice(2);

async function main() {
  const sftp = new Client();
  await sftp.connect({ host: '127.0.0.1', port, username, privateKey: fs.readFileSync(key) });
  sftp.client.setNoDelay(true);
  await sftp.mkdir('there', true);
  await sftp.uploadDir(path.join(local, 'many'), 'there/many');
  await sftp.put(path.join(local, 'large'), 'there/large');
  await sftp.downloadDir('there/many', path.join(back, 'many'));
  await sftp.get('there/large', path.join(back, 'large'));
  await sftp.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
