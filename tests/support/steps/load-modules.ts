/**
 * A program that loads modules of step types and prints what is wrong with them, as JSON: for runtimes that no test runs on.
 */
import { loadUserStepTypes, StepModulesError } from '../../../steps/modules/user-modules.ts';

try {
  await loadUserStepTypes(process.argv.slice(2), process.cwd());
  console.log('[]');
} catch (error) {
  if (!(error instanceof StepModulesError)) throw error;
  console.log(JSON.stringify(error.problems));
}
