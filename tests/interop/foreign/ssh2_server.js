// npm's ssh2 as a server: HOST_KEY USER_PUBLIC_KEY; prints "listening on PORT". Commands, and files.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');
const { Server, utils } = require('ssh2');

const { OPEN_MODE, STATUS_CODE } = utils.sftp;
const {
  O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY,
} = fs.constants;
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

function openFlags(flags) {
  const reads = flags & OPEN_MODE.READ;
  const writes = flags & OPEN_MODE.WRITE;
  const more = [['APPEND', O_APPEND], ['CREAT', O_CREAT], ['TRUNC', O_TRUNC], ['EXCL', O_EXCL]];
  return more
    .filter(([name]) => flags & OPEN_MODE[name])
    .reduce((all, [, flag]) => all | flag, writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY);
}

function longname(name, stats) {
  return `${stats.isDirectory() ? 'd' : '-'}rw-r--r-- 1 u g ${stats.size} Jan 1 00:00 ${name}`;
}

const REASONS = { ENOENT: STATUS_CODE.NO_SUCH_FILE, EACCES: STATUS_CODE.PERMISSION_DENIED };

function setTimes(set, of, given) {
  if (given.mtime !== undefined) set(of, given.atime, given.mtime);
}

// Calls are synchronous: requests for one file have to be done in the order in which they came.
function serveFiles(accept) {
  const sftp = accept();
  const handles = new Map();
  let next = 0;
  const keep = (id, held) => {
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(next);
    handles.set(next++, held);
    sftp.handle(id, handle);
  };
  const held = (handle) => handles.get(handle.readUInt32BE(0));
  const name = (id, filename) => sftp.name(id, [{ filename, longname: '', attrs: {} }]);
  const stat = (call) => (id, of) => { sftp.attrs(id, attributes(call(of))); };
  const done = (call) => (id, ...words) => {
    call(...words);
    sftp.status(id, STATUS_CODE.OK);
  };
  const calls = {
    OPEN(id, of, flags, given) {
      const mode = given.mode === undefined ? 0o666 : given.mode & 0o7777;
      keep(id, { fd: fs.openSync(of, openFlags(flags), mode) });
    },
    READ(id, handle, offset, length) {
      const data = Buffer.alloc(Math.min(length, 32768));
      const count = fs.readSync(held(handle).fd, data, 0, data.length, offset);
      if (count) sftp.data(id, data.subarray(0, count));
      else sftp.status(id, STATUS_CODE.EOF);
    },
    OPENDIR(id, directory) { keep(id, { directory, names: fs.readdirSync(directory) }); },
    READDIR(id, handle) {
      const { directory, names } = held(handle);
      const block = names.splice(0, 100);
      if (!block.length) {
        sftp.status(id, STATUS_CODE.EOF);
        return;
      }
      sftp.name(id, block.map((filename) => {
        const stats = fs.lstatSync(path.join(directory, filename));
        return { filename, longname: longname(filename, stats), attrs: attributes(stats) };
      }));
    },
    STAT: stat(fs.statSync),
    LSTAT: stat(fs.lstatSync),
    FSTAT: stat((handle) => fs.fstatSync(held(handle).fd)),
    REALPATH(id, of) { name(id, path.resolve(of)); },
    READLINK(id, of) { name(id, fs.readlinkSync(of)); },
    WRITE: done((handle, offset, data) => {
      fs.writeSync(held(handle).fd, data, 0, data.length, offset);
    }),
    CLOSE: done((handle) => {
      const { fd } = held(handle);
      handles.delete(handle.readUInt32BE(0));
      if (fd !== undefined) fs.closeSync(fd);
    }),
    SETSTAT: done((of, given) => {
      if (given.mode !== undefined) fs.chmodSync(of, given.mode & 0o7777);
      setTimes(fs.utimesSync, of, given);
    }),
    FSETSTAT: done((handle, given) => {
      const { fd } = held(handle);
      if (given.mode !== undefined) fs.fchmodSync(fd, given.mode & 0o7777);
      setTimes(fs.futimesSync, fd, given);
    }),
    MKDIR: done((of) => fs.mkdirSync(of)),
    RMDIR: done(fs.rmdirSync),
    REMOVE: done(fs.unlinkSync),
    RENAME: done(fs.renameSync),
    // The library has put the two into this order, by what it takes the client for.
    SYMLINK: done((link, target) => fs.symlinkSync(target, link)),
  };
  for (const [request, call] of Object.entries(calls)) {
    sftp.on(request, (id, ...words) => {
      try {
        call(id, ...words);
      } catch (error) {
        sftp.status(id, REASONS[error.code] || STATUS_CODE.FAILURE, error.message);
      }
    });
  }
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
