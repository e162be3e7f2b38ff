/** Arms the faults that the environment names: `node --import ./packages/shared/src/testing/arm-faults.ts <program>`. */
import { armFaultsFrom } from './fault-points.ts';

armFaultsFrom(process.env);
