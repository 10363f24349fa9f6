import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;

/** JSch as a client: PORT USER KEY LOCAL BACK (see README.md). */
public class JschClient {
    private static void run(Session session) throws Exception {
        ChannelExec channel = (ChannelExec) session.openChannel("exec");
        channel.setCommand("echo out; echo err >&2; exit 7");
        ByteArrayOutputStream problems = new ByteArrayOutputStream();
        channel.setErrStream(problems);
        InputStream stream = channel.getInputStream();
        channel.connect(30_000);
        String out = new String(stream.readAllBytes());
        while (!channel.isClosed()) {
            Thread.sleep(5);
        }
        if (!out.equals("out\n") || !problems.toString().equals("err\n") || channel.getExitStatus() != 7) {
            throw new AssertionError(out + problems + channel.getExitStatus());
        }
        channel.disconnect();
    }

    public static void main(String[] words) throws Exception {
        String local = words[3];
        String back = words[4];
        JSch library = new JSch();
        library.addIdentity(words[2]);
        Session session = library.getSession(words[1], "127.0.0.1", Integer.parseInt(words[0]));
        session.setConfig("StrictHostKeyChecking", "no");
        session.connect(30_000);
        run(session);

        ChannelSftp files = (ChannelSftp) session.openChannel("sftp");
        files.connect(30_000);
        files.mkdir("there");
        files.mkdir("there/many");
        for (String name : new File(local, "many").list()) {
            files.put(local + "/many/" + name, "there/many/" + name);
        }
        files.put(local + "/large", "there/large");
        files.symlink("large", "there/link");
        if (!files.readlink("there/link").equals("large")) {
            throw new AssertionError(files.readlink("there/link"));
        }

        new File(back, "many").mkdir();
        for (Object entry : files.ls("there/many")) {
            String name = ((ChannelSftp.LsEntry) entry).getFilename();
            if (!name.startsWith(".")) {
                files.get("there/many/" + name, back + "/many/" + name);
            }
        }
        files.get("there/large", back + "/large");
        session.disconnect();
    }
}
