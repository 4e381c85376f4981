#!/bin/sh
# 在 Debian / Ubuntu 小机上安装卡口前端；再次运行即为升级。
# Installs the checkpoint agent on a Debian-based box; run again to update.
#
#   sudo packaging/agent/install.sh [--wheels DIR] [--with-paddle] [--no-system] [--prefix DIR]
#
#   --wheels DIR    离线安装，从该目录取 wheel    offline: take wheels from DIR
#   --with-paddle   同时安装 PaddleOCR            PaddleOCR too (250 MB more memory, same texts)
#   --no-system     不动 apt、用户与 systemd      leave apt, users and systemd alone
#   --prefix DIR    以 DIR 代替 /                 put everything under DIR instead of /
set -eu

say() { printf '%s\n' "$*"; }
fail() { say "✗ $*" >&2; exit 1; }

WHEELS='' EXTRAS='agent' SYSTEM=yes PREFIX=''
while [ $# -gt 0 ]; do
    case "$1" in
        --wheels) WHEELS=$(cd "$2" && pwd); shift ;;
        --with-paddle) EXTRAS='agent,paddle' ;;
        --no-system) SYSTEM=no ;;
        --prefix) mkdir -p "$2"; PREFIX=$(cd "$2" && pwd); shift ;;
        -h|--help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "未知参数 unknown argument: $1" ;;
    esac
    shift
done

HERE=$(cd "$(dirname "$0")/../.." && pwd)
TARGET="$PREFIX/opt/kakou"
CONFIG="$PREFIX/etc/kakou"
PYTHON="${PYTHON:-python3}"

if [ "$SYSTEM" = yes ]; then
    [ "$(id -u)" = 0 ] || fail "请用 sudo 运行 run with sudo (or --no-system --prefix DIR)"
    say "[1/5] 系统软件包 system packages"
    apt-get install -y --no-install-recommends python3-venv libgl1 libglib2.0-0 chrony >/dev/null ||
        fail "apt-get 失败 failed"
else
    say "[1/5] 跳过系统软件包 system packages left alone"
fi
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "需要 Python ≥ 3.11 is needed"

say "[2/5] 程序 program: $TARGET"
mkdir -p "$TARGET"
for part in anpr checkpoint_agent server models config docs packaging pyproject.toml \
            constraints.txt README.md LICENSE; do
    [ "$HERE/$part" -ef "$TARGET/$part" ] && continue
    rm -rf "${TARGET:?}/$part.new"
    cp -R "$HERE/$part" "$TARGET/$part.new"
    rm -rf "${TARGET:?}/$part"
    mv "$TARGET/$part.new" "$TARGET/$part"
done
rm -rf "$TARGET/models/training"

say "[3/5] Python 环境 environment (几分钟 some minutes)"
[ -x "$TARGET/.venv/bin/python" ] || "$PYTHON" -m venv "$TARGET/.venv"
set -- -q --disable-pip-version-check --no-input -c "$TARGET/constraints.txt"
[ -z "$WHEELS" ] || set -- "$@" --no-index --find-links "$WHEELS"
SHIM=''
case "$EXTRAS" in *paddle*) SHIM="$TARGET/packaging/opencv-contrib-python" ;; esac
# shellcheck disable=SC2086 # an empty SHIM is no argument
(cd "$TARGET" && .venv/bin/python -m pip install "$@" $SHIM -e ".[$EXTRAS]") ||
    fail "pip 未能装好依赖 could not install the dependencies"
"$TARGET/.venv/bin/python" -m compileall -q "$TARGET/anpr" "$TARGET/checkpoint_agent" "$TARGET/server"

say "[4/5] 配置 configuration: $CONFIG/agent.toml"
mkdir -p "$CONFIG"
if [ ! -e "$CONFIG/agent.toml" ]; then
    if [ "$EXTRAS" = agent ]; then
        sed 's/^recogniser = "paddleocr"/recogniser = "onnxruntime"/' \
            "$TARGET/config/agent.example.toml" >"$CONFIG/agent.toml"
    else
        cp "$TARGET/config/agent.example.toml" "$CONFIG/agent.toml"
    fi
fi

if [ "$SYSTEM" = yes ]; then
    say "[5/5] 服务 service: kakou-agent"
    id kakou >/dev/null 2>&1 ||
        useradd --system --home-dir /var/lib/kakou-agent --shell /usr/sbin/nologin kakou
    # the camera's password is in the configuration, the token beside it
    chown -R root:kakou "$CONFIG"
    chmod 0750 "$CONFIG"
    chmod 0640 "$CONFIG"/*
    install -m 0644 "$TARGET"/packaging/agent/kakou-agent.service \
        "$TARGET"/packaging/agent/kakou-agent-revive.service \
        "$TARGET"/packaging/agent/kakou-agent-revive.timer /etc/systemd/system/
    systemctl daemon-reload
    systemctl enable -q kakou-agent kakou-agent-revive.timer
else
    say "[5/5] 跳过 systemd left alone"
fi

cat <<END
✓ 已安装 installed
下一步 next:
  1. 编辑 edit                $CONFIG/agent.toml
  2. 放入令牌 put the token   $CONFIG/agent.token   (chmod 640, root:kakou)
  3. 检查 check               cd $TARGET && .venv/bin/python -m checkpoint_agent check-config $CONFIG/agent.toml
  4. 启动 start               systemctl start kakou-agent kakou-agent-revive.timer
END
