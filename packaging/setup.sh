#!/bin/sh
# Prepares the virtual environment; called by `make setup`. Prints one line of progress, and the
# whole log when something fails.
set -eu

say() { printf '%s\n' "$*"; }
fail() { say "" "✗ $1" "  日志 log: $LOG" >&2; tail -n 20 "$LOG" >&2 2>/dev/null || true; exit 1; }

LOG="${TMPDIR:-/tmp}/kakou-setup.$$.log"
: >"$LOG"

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "需要 Python ≥ 3.11；用 make setup PYTHON=/path/to/python3 指定。 Python ≥ 3.11 is needed."

say "[1/3] 虚拟环境 virtual environment: $VENV"
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV" >>"$LOG" 2>&1 ||
    fail "python -m venv 失败；Debian/Ubuntu: apt-get install python3-venv"

say "[2/3] 依赖 dependencies (constraints.txt)"
# The shim goes in the same call, so that paddlex's opencv-contrib-python is already answered for
# (docs/decisions/0003) and no second cv2 lands on disk.
"$VENV/bin/python" -m pip install --disable-pip-version-check --no-input -c constraints.txt \
    ./packaging/opencv-contrib-python -e '.[vision,paddle,agent,server,rendering,bench,dev]' >>"$LOG" 2>&1 &
PIP=$!
TOTAL=$(grep -c '==' constraints.txt)
while kill -0 "$PIP" 2>/dev/null; do
    N=$(grep -cE '^ *(Collecting|Requirement already)' "$LOG" || true)
    [ "$N" -gt "$TOTAL" ] && N=$TOTAL
    STEP=$(grep -E '^ *(Collecting|Downloading|Installing|Building|Preparing)' "$LOG" | tail -n 1 | cut -c1-60)
    if [ -t 1 ]; then printf '\r\033[K      %3d/%d  %s' "$N" "$TOTAL" "$STEP"; fi
    sleep 1
done
[ -t 1 ] && printf '\r\033[K'
wait "$PIP" || fail "pip 未能装好依赖 pip could not install the dependencies"

say "[3/3] 检查 check"
"$VENV/bin/python" - >>"$LOG" 2>&1 <<'PY' || fail "OpenCV 无法加载；Debian/Ubuntu: apt-get install libgl1 libglib2.0-0"
import cv2  # noqa: F401
PY
rm -f "$LOG"
say "✓ 就绪 ready"
