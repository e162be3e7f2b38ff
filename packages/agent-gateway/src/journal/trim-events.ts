/**
 * The oldest events of tenants that have too many, or too large ones together. Takes the two bounds and how many to give, as placeholders.
 */
export const oversizeText = (most: string, mostBytes: string, limit: string) => `
  select id from (
    select id, row_number() over newest as place, sum(bytes) over newest as held from events
    window newest as (partition by tenant order by id desc)
  ) as ranked where place > ${most} or held > ${mostBytes} order by id limit ${limit}`;
