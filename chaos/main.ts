/**
 * `bun run chaos`: random executions on several engines while processes, database and connections fail.
 *
 * Ends with 0 when every promise held, 1 when one did not, 2 when too little happened to judge. The folder with data,
 * logs and dumps stays unless it ends with 0.
 */
import { writeFile } from 'node:fs/promises';
import { commandOf, parseOptions } from './options.ts';
import { EXIT_CODES, reportText } from './report.ts';
import { run } from './run.ts';
import { endOnSignals } from './stage/signals.ts';
import { setStage } from './stage/stage.ts';

const options = parseOptions(process.argv.slice(2));
const tell = (line: string) => console.log(line);

tell(commandOf(options));
const setting = setStage(options);
endOnSignals(async () => (await setting).close(!options.keep));
const stage = await setting;

try {
  const report = await run(options, stage, tell);
  tell(reportText(report));
  if (options.report !== null) await writeFile(options.report, `${JSON.stringify(report, null, 2)}\n`);
  await stage.close(report.folder === null);
  process.exit(EXIT_CODES[report.verdict]);
} catch (error) {
  console.error(error);
  await stage.close(false);
  console.error(`kept in ${stage.folder}; repeat with: ${commandOf(options)}`);
  process.exit(EXIT_CODES.invalid);
}
