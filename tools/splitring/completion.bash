# bash completion of splitring and splitringd.
# Install as /usr/share/bash-completion/completions/splitring, with a link splitringd to it.

# What may follow in each command, "." being the program itself; "=" marks options that take a value.
declare -gA _splitring_options=(
  [.]='--host= --domain= --version --help'
  [host]='--dir= --domain= --grant-limit='
  [domain]=''
  [domain create]=''
  [domain destroy]=''
  [domain list]='--json'
  [attach]='--domain= --vdev= --target= --mode= --backend= --kind= --wait= --no-wait'
  [detach]='--domain= --vdev= --timeout= --force'
  [handover]='--wait='
  [claim]='--release'
  [doctor]='--json'
  [list]='--verbose --json'
  [info]='--json'
  [cp]='--json'
  [bench]='--rw= --bs= --qd= --lanes= --secs= --poll= --pin= --server-pid= --write-destroys-data --json'
  [tar]=''
  [tar create]='--directory= --reproducible --overwrite --json'
  [tar append]='--directory= --reproducible --repair --json'
  [tar ls]='--recursive --ignore-zeros --json'
  [tar cat]='--ignore-zeros'
  [tar extract]='--directory= --overwrite --same-owner --ignore-zeros --json'
  [tar verify]='--directory= --ignore-zeros --json'
  [tar index]=''
  [fat]=''
  [fat create]='--size= --type= --cluster= --label= --id= --sector= --align= --partition-offset= --overwrite --json'
  [fat add]='--directory= --to= --json'
  [fat put]=''
  [fat get]='--overwrite --json'
  [fat ls]='--recursive --json'
  [fat cat]=''
  [fat mkdir]='--parents'
  [fat rm]='--recursive'
  [fat mv]=''
  [fat cp]=''
  [fat touch]=''
  [fat attr]='--recursive'
  [fat label]=''
  [fat info]='--json'
  [fat check]='--repair --json'
  [fat shell]='--read-only'
  [mount]='--type= --options= --foreground'
  [kv]=''
  [kv create]='--size= --ring= --overwrite'
  [kv get]='--cache= --offset= --length= --tree= --branch= --snapshot= --escapes --json'
  [kv put]='--cache= --file= --tree= --branch= --if-absent --escapes'
  [kv rm]='--cache= --prefix= --from= --to= --all --tree= --branch= --force --escapes --json'
  [kv ls]='--cache= --recursive --trees --tree= --branch= --snapshot= --json'
  [kv scan]='--cache= --prefix= --from= --to= --reverse --limit= --keys --count --tree= --branch= --snapshot= --escapes --json'
  [kv txn]='--cache= --file= --tree= --branch='
  [kv load]='--cache= --file= --format= --batch= --relaxed --tree= --branch= --json'
  [kv dump]='--cache= --file= --format= --prefix= --from= --to= --tree= --branch= --snapshot= --escapes'
  [kv stat]='--cache= --json'
  [kv check]='--cache= --json'
  [kv snapshot]='--cache= --delete --start-branch= --branch= --json'
  [kv diff]='--cache= --tree= --branch= --json'
  [kv trim]='--cache='
  [kv backup]='--cache= --since= --file= --branch= --json'
  [kv restore]='--cache= --file= --branch= --json'
  [crunch]='--output= --name='
)
_splitringd_options='--host= --domain= --kind= --poll= --max-queues= --max-ring-page-order= --max-indirect-segments= --no-persistent --allow-root= --control= --journal= --metrics= --log-level= --version --help'

# The subcommands below a command.
_splitring_commands() {
  case $1 in
    .) echo 'host domain attach detach handover claim doctor list info cp bench tar fat mount kv crunch' ;;
    domain) echo 'create destroy list' ;;
    fat) echo 'create add put get ls cat mkdir rm mv cp touch attr label info check shell' ;;
    kv) echo 'create get put rm ls scan txn load dump stat check trim snapshot diff backup restore' ;;
    tar) echo 'create append ls cat extract verify index' ;;
  esac
}

# A disk: its scheme, and the path behind raw:. Bash takes the colon for a word of its own.
_splitring_disk() {
  local current=$1
  case $current in
    raw:* | zst:* | gz:* | archive:*)
      compopt -o nospace; mapfile -t COMPREPLY < <(compgen -f -- "${current#*:}") ;;
    *) compopt -o nospace; mapfile -t COMPREPLY < <(compgen -W 'raw: mem: vbd: zst: gz: archive:' -- "$current") ;;
  esac
}

_splitring_value() {
  local option=$1 current=$2
  case $option in
    --dir | --host | --allow-root | --directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --control | --output | --file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --target) _splitring_disk "$current" ;;
    --type)
      local types='fat12 fat16 fat32 exfat'
      [[ $command == mount ]] && types='fat tar'
      mapfile -t COMPREPLY < <(compgen -W "$types" -- "$current")
      ;;
    --options) mapfile -t COMPREPLY < <(compgen -W 'ro uid= gid= umask= allow_other' -- "$current") ;;
    --format) mapfile -t COMPREPLY < <(compgen -W 'lines cdb' -- "$current") ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W 'r w' -- "$current") ;;
    --rw) mapfile -t COMPREPLY < <(compgen -W 'randread randwrite read write' -- "$current") ;;
    --poll) mapfile -t COMPREPLY < <(compgen -W 'off auto on' -- "$current") ;;
    --vdev) mapfile -t COMPREPLY < <(compgen -W 'xvda xvdb xvdc xvdd' -- "$current") ;;
    --log-level)
      mapfile -t COMPREPLY < <(compgen -W 'trace debug info warning error off' -- "$current")
      ;;
  esac
}

# The line up to the cursor, with what bash split at colons and equals signs joined again.
_splitring_words() {
  local line=${COMP_LINE:0:COMP_POINT}
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[-1]}
}

_splitring() {
  local words current command=. word i skip=''
  _splitring_words
  local options
  if [[ ${words[0]##*/} == splitringd ]]; then
    options=$_splitringd_options
  else
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
      word=${words[i]}
      if [[ -n $skip ]]; then skip=''; continue; fi
      if [[ $word == --* ]]; then
        [[ " ${_splitring_options[$command]} ${_splitring_options[.]} " == *" $word= "* ]] && skip=1
      elif [[ " $(_splitring_commands "$command") " == *" $word "* ]]; then
        [[ $command == . ]] && command=$word || command+=" $word"
      fi
    done
    options="${_splitring_options[$command]} ${_splitring_options[.]}"
  fi
  local previous=${words[${#words[@]} - 2]}
  if [[ $previous == --* && " $options " == *" $previous= "* ]]; then
    _splitring_value "$previous" "$current"
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "${options//=/}" -- "$current")
  elif [[ ${words[0]##*/} == splitring ]]; then
    local commands
    commands=$(_splitring_commands "$command")
    case $command in
      info | cp | bench | 'tar '* | 'fat '* | 'kv '*) _splitring_disk "$current" ;;
      crunch) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
      mount)
        if [[ $previous == *:* ]]; then
          mapfile -t COMPREPLY < <(compgen -d -- "$current")
        else
          _splitring_disk "$current"
        fi
        ;;
      *) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current") ;;
    esac
  fi
}

complete -F _splitring splitring splitringd
