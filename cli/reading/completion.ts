/**
 * `completion`: what a shell needs to complete commands and options, made from the commands themselves.
 */
import type { Command, Option } from 'commander';
import { printLine } from '../output.ts';

export const SHELLS = ['bash', 'zsh'] as const;
export type Shell = (typeof SHELLS)[number];

interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  /** Whether its first argument is a file. */
  readonly takesFile: boolean;
  readonly options: readonly CompletedOption[];
}

interface CompletedOption {
  /** `--output`, `-o`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** Empty: any value. */
  readonly choices: readonly string[];
}

/** Prints the script of a shell, to be evaluated by it. */
export function completion(shell: Shell, program: Command): void {
  const commands = program.commands.map(completedCommand);
  const own = program.options.map(completedOption);
  const text =
    shell === 'bash' ? bashScript(program.name(), commands, own) : zshScript(program.name(), commands, own);
  printLine(text);
}

function completedCommand(command: Command): CompletedCommand {
  return {
    name: command.name(),
    description: command.description(),
    takesFile: command.registeredArguments[0]?.name() === 'file',
    options: command.options.map(completedOption),
  };
}

function completedOption({ short, long, description, required, argChoices }: Option): CompletedOption {
  return {
    flags: [long, short].filter((flag) => flag !== undefined && flag !== null),
    description,
    takesValue: required,
    choices: argChoices ?? [],
  };
}

const functionOf = (name: string) => `_${name.replaceAll('-', '_')}`;
const wordsOf = (options: readonly CompletedOption[]) => options.flatMap(({ flags }) => flags).join(' ');

const withValue = (options: readonly CompletedOption[]) =>
  wordsOf(options.filter(({ takesValue }) => takesValue));

/** A value is completed from those that are known, else as a file. */
function bashScript(
  name: string,
  commands: readonly CompletedCommand[],
  own: readonly CompletedOption[],
): string {
  const all = [...own, ...commands.flatMap(({ options }) => options)];
  const known = new Map(
    all.filter(({ choices }) => choices.length > 0).map(({ flags, choices }) => [flags.join('|'), choices]),
  );
  const choices = [...known].map(
    ([flags, values]) =>
      `    ${flags}) COMPREPLY=($(compgen -W '${values.join(' ')}' -- "$word")); return ;;`,
  );
  const cases = commands.map(
    ({ name: command, options, takesFile }) =>
      `    ${command}) words='${wordsOf(options)}'; valued='${withValue(options)}'; files=${takesFile ? 1 : 0} ;;`,
  );
  return `# bash completion of ${name}: eval "$(${name} completion bash)"
${functionOf(name)}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  local command='' words='' valued='${withValue(own)}' files=0 at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    case " $valued " in *" \${COMP_WORDS[at]} "*) at=$((at + 1)); continue ;; esac
    case \${COMP_WORDS[at]} in -*) ;; *) command=\${COMP_WORDS[at]}; break ;; esac
  done
  case $command in
    '') words='${commands.map((one) => one.name).join(' ')} ${wordsOf(own)}' ;;
${cases.join('\n')}
  esac
  case $before in
${choices.join('\n')}
  esac
  case " $valued " in *" $before "*) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ $files == 1 && $word != -* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -o filenames -F ${functionOf(name)} ${name}`;
}

function zshScript(
  name: string,
  commands: readonly CompletedCommand[],
  own: readonly CompletedOption[],
): string {
  const described = commands.map((one) => `    ${quoted(`${one.name}:${one.description}`)}`);
  const cases = commands.map(({ name: command, options, takesFile }) => {
    const rest = takesFile ? `'*:file:_files'` : `'*: :'`;
    return `    ${command}) _arguments ${[...options.flatMap(zshOption), rest].join(' ')} ;;`;
  });
  return `#compdef ${name}
# zsh completion of ${name}: eval "$(${name} completion zsh)"
${functionOf(name)}() {
  local context state state_descr line
  typeset -A opt_args
  local -a commands
  commands=(
${described.join('\n')}
  )
  _arguments -C ${own.flatMap(zshOption).join(' ')} '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest) case $words[1] in
${cases.join('\n')}
    esac ;;
  esac
}
compdef ${functionOf(name)} ${name}`;
}

function zshOption({ flags, description, takesValue, choices }: CompletedOption): string[] {
  const text = description.replace(/[[\]:]/g, (sign) => `\\${sign}`);
  const values = choices.length > 0 ? `(${choices.join(' ')})` : '_files';
  const value = takesValue ? `:value:${values}` : '';
  return flags.map((flag) => quoted(`*${flag}[${text}]${value}`));
}

/** As one word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
