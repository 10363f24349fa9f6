// npm's ssh2 as a client: PORT USER KEY LOCAL BACK (see README.md).
'use strict';
const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { promisify } = require('util');
const { Client } = require('ssh2');

const [port, username, key, local, back] = process.argv.slice(2);

function login() {
  return new Promise((resolve, reject) => {
    const connection = new Client();
    connection.on('ready', () => resolve(connection.setNoDelay(true))).on('error', reject);
    connection.connect({ host: '127.0.0.1', port, username, privateKey: fs.readFileSync(key) });
  });
}

function run(connection, command) {
  return new Promise((resolve, reject) => {
    connection.exec(command, (error, stream) => {
      if (error) return reject(error);
      let out = '', problems = '', status;
      stream.on('data', (data) => { out += data; });
      stream.stderr.on('data', (data) => { problems += data; });
      stream.on('exit', (code) => { status = code; });
      stream.on('close', () => resolve([out, problems, status]));
    });
  });
}

async function main() {
  const connection = await login();
  const ran = await run(connection, 'echo out; echo err >&2; exit 7');
  assert.deepStrictEqual(ran, ['out\n', 'err\n', 7]);

  const sftp = await promisify(connection.sftp.bind(connection))();
  const call = (name, ...words) => promisify(sftp[name].bind(sftp))(...words);
  await call('mkdir', 'there');
  await call('mkdir', 'there/many');
  for (const name of fs.readdirSync(path.join(local, 'many'))) {
    await call('fastPut', path.join(local, 'many', name), `there/many/${name}`);
  }
  await call('fastPut', path.join(local, 'large'), 'there/large');
  await call('symlink', 'large', 'there/link');
  assert.strictEqual(await call('readlink', 'there/link'), 'large');

  fs.mkdirSync(path.join(back, 'many'));
  for (const { filename } of await call('readdir', 'there/many')) {
    await call('fastGet', `there/many/${filename}`, path.join(back, 'many', filename));
  }
  await call('fastGet', 'there/large', path.join(back, 'large'));
  connection.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
