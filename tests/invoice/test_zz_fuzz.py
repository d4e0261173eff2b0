import asyncio, subprocess, sys, os
async def test_fuzz(make_stores, run_platform):
  async with run_platform(await make_stores(), ("discount","invoice","tax","subscription")) as platform:
    for svc, port in (("discount",8002),("invoice",8003)):
        cust = await platform.request("POST","/v1/customers",json={"name":"x","external_id":"0","address":{"country":"AT"}},headers=platform.headers("ten_fz"+svc),expect=201)
        tok = platform.token("ten_fz"+svc)
        p = await asyncio.create_subprocess_exec(os.path.dirname(sys.executable)+"/schemathesis","run",platform.url("/openapi.json",port),"-H",f"Authorization: Bearer {tok}","-u",platform.url("",port),"--checks","not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance","-n","60","--max-failures","30","--suppress-health-check","all","--no-color",stdout=subprocess.PIPE,stderr=subprocess.STDOUT)
        out,_=await p.communicate()
        open(f"/tmp/fz/{svc}.txt","wb").write(out)
