"use client";

/** By which address people and machines come, whether it leads here, and what makes it an https one. */
import { useState } from "react";

import { useAct } from "@/data/act";
import { call } from "@/data/api";
import type { AddressCheck } from "@/data/types";
import { Secret } from "@/parts/secret";
import type { StepProps } from "@/parts/setup";

export function AddressStep({ setup }: StepProps) {
  const { address } = setup;
  const { busy, act } = useAct();
  const [check, setCheck] = useState<AddressCheck | null>(null);
  const look = () => act(async () => setCheck(await call<AddressCheck>("POST", "/api/v1/admin/setup/address")));
  return (
    <>
      <p>People, bots and machines come by one address. It is <code>{address.url}</code>{address.is_set ? "." : ": this machine alone, since no other was named."}</p>
      {check && <p className={`notice ${check.outcome === "ours" ? "good" : "bad"}`} role="status">{check.said}</p>}
      <div><button type="button" className="button" disabled={busy} onClick={() => void look()}>{busy ? "Asking…" : "Does it answer?"}</button></div>
      {!address.secure && (
        <div className="stack">
          <h3>Within your house</h3>
          <p className="small">Stop Tessera and start it so: it serves https with an authority of its own, which machines learn of with their token.</p>
          <Secret text="tessera up --lan" />
          <h3>For everybody</h3>
          <p className="small">Signing in from elsewhere needs https. Let a name of yours lead to your house, let the ports 80 and 443 through to this machine, and put a proxy in front that gets the certificate by itself:</p>
          <Secret text={`caddy reverse-proxy --from tessera.example.org --to ${address.listens_on}`} />
          <p className="small">Then start Tessera with that name, and come back here by it.</p>
          <Secret text="TESSERA_PUBLIC_URL=https://tessera.example.org TESSERA_TRUSTED_PROXIES=127.0.0.1 tessera up" />
        </div>
      )}
      {address.secure && <p className="small soft">It is an https address, so people sign in from everywhere that reaches it.</p>}
    </>
  );
}
