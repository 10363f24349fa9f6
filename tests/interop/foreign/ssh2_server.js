// npm's ssh2 as a server: HOST_KEY USER_PUBLIC_KEY; prints "listening on PORT". Commands, and files.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');
const { Server, utils } = require('ssh2');

const { STATUS_CODE } = utils.sftp;
const [hostKey, userKey] = process.argv.slice(2);
const known = utils.parseKey(fs.readFileSync(userKey));

function execute(accept, _reject, { command }) {
  const stream = accept();
  const child = spawn('/bin/sh', ['-c', command]);
  stream.pipe(child.stdin);
  child.stdin.on('error', () => {});
  child.stdout.pipe(stream, { end: false });
  child.stderr.pipe(stream.stderr, { end: false });
  child.on('close', (code) => { stream.exit(code); stream.end(); });
}

function attributes(stats) {
  return {
    mode: stats.mode, uid: stats.uid, gid: stats.gid, size: stats.size,
    atime: Math.floor(stats.atimeMs / 1000), mtime: Math.floor(stats.mtimeMs / 1000),
  };
}

function longname(name, stats) {
  return `${stats.isDirectory() ? 'd' : '-'}rw-r--r-- 1 u g ${stats.size} Jan 1 00:00 ${name}`;
}

function serveFiles(accept) {
  const sftp = accept();
  const handles = new Map();
  let next = 0;
  const reasons = { ENOENT: STATUS_CODE.NO_SUCH_FILE, EACCES: STATUS_CODE.PERMISSION_DENIED };
  const answer = (id) => (error) => {
    sftp.status(id, error ? reasons[error.code] || STATUS_CODE.FAILURE : STATUS_CODE.OK);
  };
  // What follows is called without an error, and its answer is the request's.
  const good = (id, then) => (error, value) => (error ? answer(id)(error) : then(value));
  const keep = (id, held) => {
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(next);
    handles.set(next++, held);
    sftp.handle(id, handle);
  };
  const held = (handle) => handles.get(handle.readUInt32BE(0));
  const times = (given) => [given.atime, given.mtime];
  const stat = (which) => (id, name) => {
    fs[which](name, good(id, (stats) => sftp.attrs(id, attributes(stats))));
  };

  sftp.on('OPEN', (id, name, flags, given) => {
    const mode = given.mode === undefined ? 0o666 : given.mode & 0o7777;
    fs.open(name, utils.sftp.flagsToString(flags) || 'r', mode, good(id, (fd) => keep(id, { fd })));
  });
  sftp.on('READ', (id, handle, offset, length) => {
    const data = Buffer.alloc(Math.min(length, 32768));
    fs.read(held(handle).fd, data, 0, data.length, offset, good(id, (count) => {
      if (count) sftp.data(id, data.subarray(0, count));
      else sftp.status(id, STATUS_CODE.EOF);
    }));
  });
  sftp.on('WRITE', (id, handle, offset, data) => {
    fs.write(held(handle).fd, data, 0, data.length, offset, answer(id));
  });
  sftp.on('CLOSE', (id, handle) => {
    const { fd } = held(handle);
    handles.delete(handle.readUInt32BE(0));
    if (fd === undefined) sftp.status(id, STATUS_CODE.OK);
    else fs.close(fd, answer(id));
  });
  sftp.on('OPENDIR', (id, name) => {
    fs.readdir(name, good(id, (names) => keep(id, { directory: name, names })));
  });
  sftp.on('READDIR', (id, handle) => {
    const open = held(handle);
    const block = open.names.splice(0, 100);
    if (!block.length) return sftp.status(id, STATUS_CODE.EOF);
    sftp.name(id, block.map((filename) => {
      const stats = fs.lstatSync(path.join(open.directory, filename));
      return { filename, longname: longname(filename, stats), attrs: attributes(stats) };
    }));
  });
  sftp.on('STAT', stat('stat'));
  sftp.on('LSTAT', stat('lstat'));
  sftp.on('FSTAT', (id, handle) => {
    fs.fstat(held(handle).fd, good(id, (stats) => sftp.attrs(id, attributes(stats))));
  });
  sftp.on('SETSTAT', (id, name, given) => {
    if (given.mode !== undefined) fs.chmodSync(name, given.mode & 0o7777);
    if (given.mtime !== undefined) fs.utimesSync(name, ...times(given));
    sftp.status(id, STATUS_CODE.OK);
  });
  sftp.on('FSETSTAT', (id, handle, given) => {
    const { fd } = held(handle);
    if (given.mode !== undefined) fs.fchmodSync(fd, given.mode & 0o7777);
    if (given.mtime !== undefined) fs.futimesSync(fd, ...times(given));
    sftp.status(id, STATUS_CODE.OK);
  });
  sftp.on('MKDIR', (id, name) => fs.mkdir(name, answer(id)));
  sftp.on('RMDIR', (id, name) => fs.rmdir(name, answer(id)));
  sftp.on('REMOVE', (id, name) => fs.unlink(name, answer(id)));
  sftp.on('RENAME', (id, from, to) => fs.rename(from, to, answer(id)));
  sftp.on('REALPATH', (id, name) => {
    sftp.name(id, [{ filename: path.resolve(name), longname: '', attrs: {} }]);
  });
  sftp.on('READLINK', (id, name) => {
    fs.readlink(name, good(id, (target) => sftp.name(id, [{ filename: target, longname: '', attrs: {} }])));
  });
  // The library has put the two names into this order, by what it takes the client for.
  sftp.on('SYMLINK', (id, link, target) => fs.symlink(target, link, answer(id)));
}

const server = new Server({ hostKeys: [fs.readFileSync(hostKey)] }, (client) => {
  client.on('authentication', (context) => {
    const isKnown = context.method === 'publickey' && context.key.data.equals(known.getPublicSSH());
    const signed = !context.signature
      || known.verify(context.blob, context.signature, context.hashAlgo) === true;
    if (isKnown && signed) context.accept();
    else context.reject(['publickey']);
  });
  client.on('ready', () => {
    client.on('session', (accept) => {
      accept().on('exec', execute).on('sftp', serveFiles);
    });
  });
  client.on('error', (error) => console.log('failed:', error.message));
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
