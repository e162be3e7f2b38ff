import {
  connect as connectTcp,
  isIP,
  type LookupFunction,
  type Socket,
  type TcpNetConnectOpts,
} from 'node:net';
import { connect as connectTls, getCACertificates } from 'node:tls';
import { type AddressPolicy, isAddressAllowed, refuseAddress } from './address-guard.ts';
import { type ReadSize, readInSizes } from './read-size.ts';
import type { Resolve } from './resolve.ts';

/** What undici asks a connector for. */
export interface ConnectTarget {
  readonly protocol: string;
  /** Without the brackets of an IPv6 literal. */
  readonly hostname: string;
  readonly port: string;
}

type TcpOptions = TcpNetConnectOpts & { readonly host: string };

type ConnectCallback = (...result: [null, Socket] | [Error, null]) => void;

/** Begins to connect; the socket is returned at once, so that whoever waits can also give up. Reads little unless `size` says more. */
export type Connect = (target: ConnectTarget, callback: ConnectCallback, size?: ReadSize) => Socket;

const tcpKeepAliveMs = 60_000;
/** How long one address of several is tried before the next one joins in (RFC 8305). */
const nextAddressMs = 500;

/**
 * Connects to addresses of one upstream, and to checked ones only (S19): the name is resolved, every address is judged, and
 * the socket gets nothing but the list that was judged. Between check and use nothing is looked up again.
 */
export function createConnect(options: {
  readonly originName: string;
  readonly policy: AddressPolicy;
  readonly resolve: Resolve;
  /** PEM, beside the authorities that Node trusts. */
  readonly extraCa?: string | undefined;
}): Connect {
  const lookup = checkedLookup(options);
  const trust = options.extraCa === undefined ? {} : { ca: [...getCACertificates(), options.extraCa] };
  let session: Buffer | undefined;

  function open(
    { protocol, hostname, port }: ConnectTarget,
    size: ReadSize | undefined,
  ): { socket: Socket; ready: string } {
    const common = {
      ...readInSizes(bytes => socket.push(bytes), size),
      host: hostname,
      lookup,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: tcpKeepAliveMs,
      autoSelectFamilyAttemptTimeout: nextAddressMs,
    };
    const isTls = protocol === 'https:';
    const socket: Socket = isTls
      ? openTls({ ...common, port: Number(port || 443) })
      : connectTcp({ ...common, port: Number(port || 80) });
    return { socket, ready: isTls ? 'secureConnect' : 'connect' };
  }

  function openTls(common: TcpOptions): Socket {
    const { host } = common;
    const socket = connectTls({
      ...common,
      ...trust,
      servername: isIP(host) === 0 ? host.replace(/\.$/, '') : '',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true, // whatever the environment says
      ...(session && { session }),
    });
    socket.on('session', ticket => {
      session = ticket;
    });
    return socket;
  }

  return (target, callback, size) => {
    const { socket, ready } = open(target, size);
    const onError = (error: Error) => callback(error, null);
    socket.once('error', onError);
    socket.once(ready, () => {
      socket.off('error', onError);
      callback(null, socket);
    });
    return socket;
  };
}

function checkedLookup(options: {
  readonly originName: string;
  readonly policy: AddressPolicy;
  readonly resolve: Resolve;
}): LookupFunction {
  const { originName, policy, resolve } = options;
  return (hostname, lookupOptions, callback) => {
    resolve(hostname).then(
      addresses => {
        const [first] = addresses;
        // One bad address spoils the name: a name that mixes them is trying something.
        if (first === undefined || !addresses.every(each => isAddressAllowed(each.address, policy))) {
          callback(refuseAddress(originName), '', 0);
        } else if (lookupOptions.all === true) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: Error) => callback(error, '', 0),
    );
  };
}
