/** Bytes that a tenant keeps under their own SHA-256: what runs and agents pass to one another by name. */
export interface ArtifactSummary {
  readonly tenant: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly hash: string;
  readonly mediaType: string;
  readonly bytes: number;
  readonly createdAtMs: number;
  readonly principal: string;
}

export interface Artifact extends ArtifactSummary {
  readonly body: Uint8Array;
}

export interface ArtifactRoom {
  /** Of one tenant. */
  readonly most: number;
  readonly mostBytes: number;
}

export interface Artifacts {
  /** The one that is there stays as it is. `full` when the tenant has no room for it. */
  put(
    artifact: Artifact,
    room: ArtifactRoom,
  ): Promise<{ readonly isNew: boolean; readonly artifact: ArtifactSummary } | 'full'>;
  find(tenant: string, hash: string): Promise<ArtifactSummary | undefined>;
  get(tenant: string, hash: string): Promise<Artifact | undefined>;
  /** By hash. */
  list(page: {
    readonly tenant: string;
    readonly after: string;
    readonly limit: number;
  }): Promise<ArtifactSummary[]>;
  delete(tenant: string, hash: string): Promise<boolean>;
}
