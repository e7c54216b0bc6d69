"use client";

import { useRouter, useSearchParams } from "next/navigation";
import { Suspense, useEffect } from "react";

import { useSession } from "@/data/session";
import { Mark } from "@/parts/mark";
import { SignIn } from "@/parts/signin";

function Door() {
  const router = useRouter();
  const { session } = useSession();
  const asked = useSearchParams();
  const wanted = asked.get("next") ?? "/create";
  const next = /^\/(?![/\\])/.test(wanted) ? wanted : "/create";
  useEffect(() => {
    if (session?.signed_in) router.replace(next);
  }, [session, router, next]);
  return <SignIn next={next} failed={asked.get("error")} />;
}

export default function Page() {
  return (
    <>
      <title>Sign in · Tessera</title>
      <header className="top">
        <Mark />
      </header>
      <Suspense fallback={<SignIn next="/create" />}>
        <Door />
      </Suspense>
    </>
  );
}
