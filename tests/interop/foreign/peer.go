// x/crypto/ssh with pkg/sftp as a peer of nacre.
//
//	peer client PORT USER KEY LOCAL BACK
//	peer server HOST_KEY USER_PUBLIC_KEY
//
// The client does what every foreign client does: see tests/interop/foreign/README.md. The server
// prints "listening on PORT".
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const rekeyEvery = 1 << 20

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func private(path string) ssh.Signer {
	text, err := os.ReadFile(path)
	must(err)
	key, err := ssh.ParsePrivateKey(text)
	must(err)
	return key
}

// --- the client ---

func runCommand(connection *ssh.Client) {
	session, err := connection.NewSession()
	must(err)
	defer session.Close()
	var out, problems bytes.Buffer
	session.Stdout, session.Stderr = &out, &problems
	err = session.Run("echo out; echo err >&2; exit 7")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		panic(fmt.Sprintf("run: %v", err))
	}
	if out.String() != "out\n" || problems.String() != "err\n" {
		panic(fmt.Sprintf("run: %q %q", out.String(), problems.String()))
	}
}

func put(files *sftp.Client, local, remote string) {
	source, err := os.Open(local)
	must(err)
	defer source.Close()
	target, err := files.Create(remote)
	must(err)
	_, err = target.ReadFrom(source)
	must(err)
	must(target.Close())
}

func get(files *sftp.Client, remote, local string) {
	source, err := files.Open(remote)
	must(err)
	defer source.Close()
	target, err := os.Create(local)
	must(err)
	_, err = source.WriteTo(target)
	must(err)
	must(target.Close())
}

func client(port, user, key, local, back string) {
	config := &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(private(key))},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	config.RekeyThreshold = rekeyEvery
	connection, err := ssh.Dial("tcp", "127.0.0.1:"+port, config)
	must(err)
	defer connection.Close()
	runCommand(connection)
	files, err := sftp.NewClient(connection)
	must(err)
	defer files.Close()

	must(files.MkdirAll("there/many"))
	names, err := os.ReadDir(filepath.Join(local, "many"))
	must(err)
	for _, name := range names {
		put(files, filepath.Join(local, "many", name.Name()), "there/many/"+name.Name())
	}
	put(files, filepath.Join(local, "large"), "there/large")
	must(files.Symlink("large", "there/link"))
	if target, err := files.ReadLink("there/link"); err != nil || target != "large" {
		panic(fmt.Sprintf("readlink: %q %v", target, err))
	}

	must(os.Mkdir(filepath.Join(back, "many"), 0o755))
	listed, err := files.ReadDir("there/many")
	must(err)
	for _, file := range listed {
		get(files, "there/many/"+file.Name(), filepath.Join(back, "many", file.Name()))
	}
	get(files, "there/large", filepath.Join(back, "large"))
}

// --- the server ---

func status(command *exec.Cmd) uint32 {
	err := command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return uint32(exit.ExitCode())
	}
	must(err)
	return 0
}

func execute(channel ssh.Channel, line string) {
	command := exec.Command("/bin/sh", "-c", line)
	command.Stdout, command.Stderr = channel, channel.Stderr()
	stdin, err := command.StdinPipe()
	must(err)
	must(command.Start())
	go func() {
		io.Copy(stdin, channel)
		stdin.Close()
	}()
	code := status(command)
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{code}))
	channel.Close()
}

func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		var word struct{ Text string }
		if request.Type == "exec" || request.Type == "subsystem" {
			must(ssh.Unmarshal(request.Payload, &word))
		}
		switch {
		case request.Type == "exec":
			request.Reply(true, nil)
			go execute(channel, word.Text)
		case request.Type == "subsystem" && word.Text == "sftp":
			request.Reply(true, nil)
			files, err := sftp.NewServer(channel)
			must(err)
			go func() {
				files.Serve()
				channel.Close()
			}()
		default:
			request.Reply(false, nil)
		}
	}
}

func serve(socket net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(socket, config)
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, inner, err := offered.Accept()
		must(err)
		go session(channel, inner)
	}
}

func server(hostKey, userKey string) {
	text, err := os.ReadFile(userKey)
	must(err)
	known, _, _, _, err := ssh.ParseAuthorizedKey(text)
	must(err)
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), known.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	config.RekeyThreshold = rekeyEvery
	config.AddHostKey(private(hostKey))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	for {
		socket, err := listener.Accept()
		must(err)
		go serve(socket, config)
	}
}

func main() {
	switch os.Args[1] {
	case "client":
		client(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	case "server":
		server(os.Args[2], os.Args[3])
	}
}
