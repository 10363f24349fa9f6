<?php
// phpseclib speaking one version of SFTP: PORT USER KEY VERSION (see README.md).
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

[, $port, $user, $key, $version] = $argv;
$sftp = new SFTP('127.0.0.1', (int) $port, 30);
$sftp->setPreferredVersion((int) $version);
must($sftp->login($user, PublicKeyLoader::load(file_get_contents($key))), 'login');
must($sftp->mkdir('d'), 'mkdir');
must($sftp->getNegotiatedVersion() === (int) $version, 'version');
must($sftp->put('d/f', "one\n"), 'put');
must($sftp->put('d/f', "two\n", SFTP::SOURCE_STRING | SFTP::RESUME), 'append');
must($sftp->get('d/f') === "one\ntwo\n", 'get');
must($sftp->touch('d/f', 1000000, 2000000), 'touch');
must($sftp->chmod(0640, 'd/f') !== false, 'chmod');
$found = $sftp->stat('d/f');
must($found['size'] === 8 && $found['mtime'] === 1000000 && $found['atime'] === 2000000, 'stat');
must(($found['mode'] & 0777) === 0640 && $sftp->is_file('d/f') && $sftp->is_dir('d'), 'mode');
must($sftp->truncate('d/f', 3) && $sftp->filesize('d/f') === 3, 'truncate');
must($sftp->rename('d/f', 'd/g'), 'rename');
must($sftp->symlink('g', 'd/l') && $sftp->readlink('d/l') === 'g', 'symlink');
$names = $sftp->nlist('d');
sort($names);
must(array_values(array_diff($names, ['.', '..'])) === ['g', 'l'], json_encode($names));
must($sftp->delete('d/l', false), 'delete');
