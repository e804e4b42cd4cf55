#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manuals say what the programs do, and nothing else: commands, options,
configuration keys, environment, exit codes, methods, errors and roles are
compared in both directions. mandoc finds no fault with the pages."""

import glob
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "../..")
BUILD = os.environ.get("top_builddir", ".")
PAGES = ("vmsnapctl.1", "vmsnapd.8", "vmsnap.7", "io.vmsnap.Manager.7", "vmsnap-format.5")
faults = []


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def page(name):
    return read(BUILD, "man", name)


def source(*patterns):
    return "\n".join(read(path) for pattern in patterns for path in sorted(glob.glob(os.path.join(TOP, pattern))))


def compare(what, documented, real):
    """Both are sets."""
    for item in sorted(real - documented):
        faults.append(f"{what}: not documented: {item}")
    for item in sorted(documented - real):
        faults.append(f"{what}: documented, but not there: {item}")
    if not real:
        faults.append(f"{what}: nothing found to compare")


def output(program, *words):
    return subprocess.run([os.path.join(BUILD, program), *words], check=True, stdout=subprocess.PIPE,
                          timeout=30).stdout.decode()


def section(text, title):
    """One section of a page."""
    match = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % re.escape(title), text, re.M | re.S)
    return match.group(1) if match else ""


def plain(words):
    """'Ar VM SNAPSHOT' as 'VM SNAPSHOT', 'Op Ar ID' as '[ID]'."""
    words = re.sub(r"\bOp Ar (\S+)", r"[\1]", words)
    return re.sub(r"\bAr ", "", words).strip()


def commands_of_page(text):
    """Lines as those of 'vmsnapctl --commands'."""
    found, command = set(), ""
    for line in section(text, "DESCRIPTION").splitlines():
        if line.startswith(".Ss "):
            command = ""
        match = re.match(r"\.It Cm ([a-z ]+?)((?: (?:Ar|Op Ar) .*?)?)( Op Fl -no-wait)?$", line)
        if match:
            command = match.group(1)
            found.add(f"command {command} {plain(match.group(2))}".strip())
            if match.group(3):
                found.add(f"option {command} --no-wait")
        match = re.match(r"\.It Fl -([a-z-]+)(?: Ar (\S+))?$", line)
        if match:
            words = ["option", command, "--" + match.group(1), match.group(2)]
            found.add(" ".join(w for w in words if w))
    return found


def check_vmsnapctl():
    text = page("vmsnapctl.1")
    listing = set(output("client/vmsnapctl", "--commands").splitlines())
    compare("vmsnapctl.1", commands_of_page(text), listing)
    compare("vmsnapctl.1, environment", set(re.findall(r"^\.It Ev (\S+)", text, re.M)),
            set(re.findall(r'getenv\("(\w+)"', source("client/*.c"))))
    codes = re.search(r"enum exit_code \{(.*?)\};", source("client/exitcode.h"), re.S).group(1)
    compare("vmsnapctl.1, exit codes", set(re.findall(r"^\.It (\d+)$", section(text, "EXIT STATUS"), re.M)),
            set(re.findall(r"= (\d+)", codes)))


def check_findings():
    """The words of what a check finds, with severity and whether repair mends it."""
    rows = re.findall(r'\b(NOTE|MENDED|LEFT)\("([a-z-]+)",\s*(\w+)?', source("layout/check.c"))
    compare("vmsnapctl.1, findings",
            set(re.findall(r"^\.It Sy ([a-z-]+)\n\.Pq Em (\w+)( , Sy repair)?$", section(page("vmsnapctl.1"), "FINDINGS"), re.M)),
            {(word, "info" if kind == "NOTE" else severity.lower(), " , Sy repair" if kind == "MENDED" else "")
             for kind, word, severity in rows})


def check_help(listing):
    """Each command's --help names all of its options; the whole help all commands."""
    helped = set()
    for line in output("client/vmsnapctl", "--help").splitlines():
        match = re.match(r"  ((?:vm|snapshot|disk|savestate|job) \S+|status|doctor|bridge|check|repair)((?: [A-Z\[\]]+)*)  +\S", line)
        if match:
            helped.add(f"command {match.group(1)}{match.group(2)}")
    compare("vmsnapctl --help", helped, {l for l in listing if l.startswith("command ")})
    for name in sorted({re.match(r"command ([a-z ]+)", c).group(1).strip() for c in helped}):
        text = output("client/vmsnapctl", *name.split(), "--help").split("Options of every command")[0]
        shown = {f"option {name} {o.strip()}" for o in re.findall(r"^  (--[a-z-]+(?: [A-Z]+)?) ", text, re.M)}
        real = {l for l in listing if l.startswith(f"option {name} ")}
        if shown or real:
            compare(f"vmsnapctl {name} --help", shown, real)


def check_completion(listing):
    """What the completion offers is what there is. A socket that is not there keeps it to itself."""
    def offered(*words):
        return set(output("client/vmsnapctl", "--complete", "--socket", "/nonexistent", *words).split())

    commands = {tuple(re.match(r"command ([a-z]+)(?: ([a-z]+))?", l).groups())
                for l in listing if l.startswith("command ")}
    special = {"--commands", "--complete"}
    globals_ = {l.split()[1] for l in listing if re.match(r"option --", l)} - special - {"--socket"}
    compare("completion of nouns", offered(""), {noun for noun, _ in commands})
    for noun, verb in sorted(commands, key=str):
        name = " ".join(w for w in (noun, verb) if w)
        if verb:
            compare(f"completion of {noun}", offered(noun, ""), {v for n, v in commands if n == noun})
        own = {l.split()[len(name.split()) + 1] for l in listing if l.startswith(f"option {name} --")}
        compare(f"completion of {name}", offered(*name.split(), "--"), own | globals_)
    if "--complete" not in read(TOP, "client/vmsnapctl.bash"):
        faults.append("client/vmsnapctl.bash does not ask vmsnapctl")


def check_vmsnapd():
    text = page("vmsnapd.8")
    help_text = output("daemon/vmsnapd", "--help")
    real = {" ".join(w for w in o if w) for o in re.findall(r"^ +(?:-\w, )?--([a-z-]+)(?: ([A-Z]+))?", help_text, re.M)}
    documented = {" ".join(w for w in o if w)
                  for o in re.findall(r"^\.It Fl (?:\w , )?-([a-z-]+)(?: Ar (\S+))?$", text, re.M)}
    compare("vmsnapd.8", documented, real)
    short = set(re.findall(r"^ +-(\w), --([a-z-]+)", help_text, re.M))
    compare("vmsnapd.8, short options", set(re.findall(r"^\.It Fl (\w) , -([a-z-]+)", text, re.M)), short)
    compare("vmsnapd.8, configuration", set(re.findall(r"^\.It Va (\S+)", text, re.M)),
            set(re.findall(r'\b(?:STRING|INT|LIMIT)\("([a-z-]+)"', source("daemon/options.c"))))
    named = {name for names in re.findall(r"^\.It Ev (.*)$", text, re.M) for name in names.split(" , ")}
    code = source("daemon/*.c", "common/*.c", "layout/*.c", "savestate/*.c", "varlink/*.c", "xmlcfg/*.c")
    asked = set(re.findall(r'getenv\("(\w+)"', code))
    compare("vmsnapd.8, environment", named, asked | {n for n in named if f'"{n}"' in code})


def check_interface():
    text = page("io.vmsnap.Manager.7")
    tables = source("varlink/manager*.c")
    replies = {"NO": "one", "SUPPORTED": "job", "REQUIRED": "stream"}
    rows = re.findall(r'^\s*METHOD\("(\w+)", (\w+), (\w+),', tables, re.M)
    compare("io.vmsnap.Manager.7, methods",
            set(re.findall(r"^\.It Ic (\w+) Ta (\w+) Ta (\w+)$", text, re.M)),
            {(name, role.lower(), replies[more]) for name, more, role in rows})
    described = read(TOP, "varlink/io.vmsnap.Manager.varlink")
    compare("io.vmsnap.Manager.varlink, methods", set(re.findall(r"^method (\w+)", described, re.M)),
            {name for name, _, _ in rows})
    compare("io.vmsnap.Manager.7, errors", set(re.findall(r"^\.It Er (\w+)", text, re.M)),
            set(re.findall(r"^error (\w+)", described, re.M)))


def check_pages():
    """Every page refers only to what is there, and mandoc is content."""
    if not shutil.which("mandoc"):
        if os.environ.get("CI") == "true":
            faults.append("mandoc is missing (Debian package: mandoc)")
        return
    pages = [os.path.join(BUILD, "man", name) for name in PAGES]
    compare("man/", set(PAGES), {os.path.basename(p)[:-3] for p in glob.glob(os.path.join(TOP, "man", "*.in"))})
    for path in pages:
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], stdout=subprocess.PIPE, check=False)
        faults.extend(lint.stdout.decode().splitlines())
        for name, number in re.findall(r"^\.Xr (\S*vmsnap\S*) (\d)", read(path), re.M):
            if not any(os.path.basename(p) == f"{name}.{number}" for p in pages):
                faults.append(f"{path}: refers to {name}({number}), which is not there")
        if "@" in re.sub(r"\S+@\S+\.\S+", "", read(path)):
            faults.append(f"{path}: something was not substituted")


def main():
    listing = set(output("client/vmsnapctl", "--commands").splitlines())
    check_vmsnapctl()
    check_findings()
    check_help(listing)
    check_completion(listing)
    check_vmsnapd()
    check_interface()
    check_pages()
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
