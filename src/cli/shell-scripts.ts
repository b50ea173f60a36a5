/**
 * The four completion scripts. Each hands the words to `naru complete --` and offers the lines it answers:
 * `word<TAB>description`, and last `:files` where the shell is to complete files.
 */
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'

const bash = `# bash completion for naru
_naru() {
  local IFS=$'\\n' line words cur
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # bash splits words at = and :, which our values contain: join them again.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    local cword; _get_comp_words_by_ref -n =: -c cur -w words -i cword
    words=("\${words[@]:1:cword}")
  else
    cur="\${COMP_WORDS[COMP_CWORD]}"
  fi
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")) ;;
      :words) ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(naru complete -- "\${words[@]}" 2>/dev/null)
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}
complete -F _naru naru`

const zsh = `#compdef naru
# zsh completion for naru
_naru() {
  local line word text
  local -a described
  for line in "\${(@f)$(naru complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case "$line" in
      :files) _files; return ;;
      :words|'') ;;
      *) word="\${line%%$'\\t'*}"; text="\${line#*$'\\t'}"; described+=("\${word//:/\\\\:}\${text:+:$text}") ;;
    esac
  done
  _describe -V naru described
}
if [ "$funcstack[1]" = "_naru" ]; then _naru "$@"; else compdef _naru naru; fi`

const fish = `# fish completion for naru
function __naru_complete
    set -l tokens (commandline -opc) (commandline -ct)
    for line in (naru complete -- $tokens[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :words
            case '*'
                echo $line
        end
    end
end
complete -c naru -f -a '(__naru_complete)'`

const powershell = `# PowerShell completion for naru
Register-ArgumentCompleter -Native -CommandName naru -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.ToString() })
    $words += if ($wordToComplete) { $wordToComplete } else { '""' }
    naru complete -- @words 2>$null | ForEach-Object {
        if ($_ -eq ':files') {
            Get-ChildItem -Path "$wordToComplete*" -Name | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
        } elseif ($_ -ne ':words') {
            $word, $text = $_ -split "\`t", 2
            if (-not $text) { $text = $word }
            [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
        }
    }
}`

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish, powershell, pwsh: powershell }

/** @throws NaruError USAGE */
export function shellScript(shell: string): string {
  const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined
  if (script !== undefined) return script
  throw new NaruError('USAGE', {
    why: say`there is no completion for ${shell}; there is for bash, zsh, fish and powershell`,
    command: 'naru completion --help',
  })
}
