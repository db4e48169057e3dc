# Sourced by the launchers in this folder with $root (the product's folder) and $entry (a file in cli/) set.
# Finds the product's own Node, falls back to one on PATH, and hands over to it.

case $(uname -s) in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  MINGW* | MSYS* | CYGWIN*) os=win ;;
  *) os=unknown ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=unknown ;;
esac

node=
# Beside the product (a clone), or hoisted one level up (installed as a dependency).
for folder in "$root/node_modules" "$root/.."; do
  for candidate in "$folder/node-$os-$arch/bin/node" "$folder/node-$os-$arch/bin/node.exe"; do
    if [ -z "$node" ] && [ -x "$candidate" ]; then node=$candidate; fi
  done
done

# TypeScript files run without a flag since Node 22.18.
if [ -z "$node" ] && command -v node >/dev/null 2>&1; then
  version=$(node -p process.versions.node 2>/dev/null)
  major=${version%%.*}
  rest=${version#*.}
  minor=${rest%%.*}
  if [ "${major:-0}" -gt 22 ] || { [ "${major:-0}" -eq 22 ] && [ "${minor:-0}" -ge 18 ]; }; then
    node=node
  else
    echo "$name: Node ${version:-(unknown version)} on PATH is too old; 22.18 or newer is needed." >&2
    echo "  Run \"npm ci\" in $root: it brings the right Node with it." >&2
    exit 1
  fi
fi

if [ -z "$node" ]; then
  echo "$name: no Node.js found." >&2
  echo "  Run \"npm ci\" in $root: it brings the right Node with it." >&2
  exit 1
fi

exec "$node" "$root/cli/$entry" "$@"
