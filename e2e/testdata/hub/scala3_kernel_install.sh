#!/bin/sh
# A kernel "scala3" for tests: the Scala 3 compiler's own REPL, by Maven, behind ipykernel's Kernel class. It stands in
# for almond where that cannot be fetched, and is no almond: no import $ivy, no completion, no rich output.
#
# scala3_kernel_install.sh SCALA FOLDER PYTHON: FOLDER gets share/jupyter/kernels/scala3, PYTHON has ipykernel.
set -eu
scala=$1 to=$2 python=$3 here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$to" && mkdir -p "$to/share/jupyter/kernels/scala3"
cat > "$to/pom.xml" <<P
<project><modelVersion>4.0.0</modelVersion><groupId>satchel</groupId><artifactId>scala3</artifactId>
<version>1</version><packaging>pom</packaging><dependencies><dependency><groupId>org.scala-lang</groupId>
<artifactId>scala3-compiler_3</artifactId><version>$scala</version></dependency></dependencies></project>
P
mvn -q -B -f "$to/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory="$to/lib" -DincludeScope=runtime
javac -cp "$to/lib/*" -d "$to/classes" "$here/Scala3Loop.java"
cp "$here/scala3_kernel.py" "$to/"
cat > "$to/share/jupyter/kernels/scala3/kernel.json" <<J
{"argv": ["$python", "$to/scala3_kernel.py", "-f", "{connection_file}"], "display_name": "Scala 3", "language": "scala"}
J
