"""A stand-in for almond: the real Scala 3 REPL (Scala3Loop.java) behind ipykernel."""
import base64, os, re, subprocess
from ipykernel.kernelbase import Kernel
HERE = os.path.dirname(os.path.abspath(__file__))
class Scala3(Kernel):
    implementation, implementation_version, banner = "scala3-test", "0.1", "Scala 3 REPL (not almond)"
    language_info = {"name": "scala", "mimetype": "text/x-scala", "file_extension": ".sc"}
    def __init__(self, **kw):
        super().__init__(**kw)
        self.p = subprocess.Popen(["java", f"-XX:MaxRAMPercentage={os.environ.get('HEAP_PERCENT', '60')}", "-cp", f"{HERE}/lib/*:{HERE}/classes", "Scala3Loop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **kw):
        self.p.stdin.write(base64.b64encode(code.encode()).decode() + "\n"); self.p.stdin.flush()
        out = base64.b64decode(self.p.stdout.readline()).decode()
        bad = re.search(r"^(-- .*Error: |java\.lang\.\w+(Error|Exception)|\d+ errors? found)", out, re.M)
        if out and not silent:
            self.send_response(self.iopub_socket, "stream", {"name": "stderr" if bad else "stdout", "text": out})
        if bad:
            err = {"ename": "ScalaError", "evalue": out.splitlines()[0], "traceback": out.splitlines()}
            self.send_response(self.iopub_socket, "error", err)
            return {"status": "error", "execution_count": self.execution_count, **err}
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}
    def do_shutdown(self, restart):
        self.p.stdin.close(); self.p.wait(); return {"status": "ok", "restart": restart}
if __name__ == "__main__":
    from ipykernel.kernelapp import IPKernelApp
    IPKernelApp.launch_instance(kernel_class=Scala3)
