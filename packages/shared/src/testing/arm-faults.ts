/** Arms the faults that the environment names: `node --import ./packages/shared/src/testing/arm-faults.ts <program>`. */
import { armFaultsFrom } from './fault-points.ts';

armFaultsFrom(process.env);
// To a program that reads its configuration from the environment they are no keys of it.
for (const name of ['STRATA_FAULTS', 'STRATA_FAULT_SEED', 'STRATA_FAULT_RATE']) delete process.env[name];
