-- A worker's completion carries its next claim: one request for each job.
dofile("common.lua")

function init(args)
   math.randomseed(tonumber(args[3]) + number)
   credential = credentials(args[1], number, tonumber(args[2]))[1]
end

function request()
   if began == math.huge then began = now() end
   if lease then return complete(lease, credential, '{"artifacts":1,"claim":' .. claim_body(0) .. "}") end
   return post("/api/v1/worker/claim", credential, claim_body(0))
end

function response(status, headers, body)
   if status ~= 200 then
      complain(status, body)
      lease = nil
   else
      if lease then count() end
      lease = lease_in(body)
      if not lease then empty = empty + 1 end
   end
end
