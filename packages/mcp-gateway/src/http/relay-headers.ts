/** Says that a replica passes the request on: it is not passed on again. */
export const relayHeader = 'strata-relayed';
/** Tells the replica that passes a stream on which one it is, and from where on, as an event id. */
export const streamHeader = 'strata-stream';
