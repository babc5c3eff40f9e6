/**
 * The settings of the benchmarks, which come from the environment.
 */

/** A number above 0. For another value the process ends with the accepted ones, before the first measurement. */
export function numberSetting(name: string, otherwise: number): number {
  const text = process.env[name];
  const value = text === undefined ? otherwise : Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  console.error(`${name} is ${JSON.stringify(text)}; accepted: a number above 0`);
  process.exit(2);
}
