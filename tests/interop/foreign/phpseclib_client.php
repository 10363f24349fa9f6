<?php
// phpseclib as a client: PORT USER KEY LOCAL BACK (see README.md).
require '/usr/share/php/phpseclib3/autoload.php';

use phpseclib3\Crypt\PublicKeyLoader;
use phpseclib3\Net\SFTP;

set_error_handler(function ($level, $message) {
    throw new ErrorException($message);
}, E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);

function must($condition, string $what): void
{
    if (!$condition) {
        throw new Exception($what);
    }
}

[, $port, $user, $key, $local, $back] = $argv;
$sftp = new SFTP('127.0.0.1', (int) $port, 30);
must($sftp->login($user, PublicKeyLoader::load(file_get_contents($key))), 'login');
$sftp->enableQuietMode();
must($sftp->exec('echo out; echo err >&2; exit 7') === "out\n", 'output');
must($sftp->getStdError() === "err\n", 'stderr');
must($sftp->getExitStatus() === 7, 'exit status');

must($sftp->mkdir('there/many', -1, true), 'mkdir');
foreach (array_diff(scandir("$local/many"), ['.', '..']) as $name) {
    must($sftp->put("there/many/$name", "$local/many/$name", SFTP::SOURCE_LOCAL_FILE), $name);
}
must($sftp->put('there/large', "$local/large", SFTP::SOURCE_LOCAL_FILE), 'put large');
must($sftp->symlink('large', 'there/link'), 'symlink');
must($sftp->readlink('there/link') === 'large', 'readlink');

mkdir("$back/many");
foreach (array_diff($sftp->nlist('there/many'), ['.', '..']) as $name) {
    must($sftp->get("there/many/$name", "$back/many/$name"), $name);
}
must($sftp->get('there/large', "$back/large"), 'get large');
